"""A run's frozen config as a table: every value, the preset's, and what differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.configs import CONFIGS, RunConfig
from training.forms.config_fields import default_values, field_notes, spell

MECHANICAL = frozenset({"recipe", "preset", "base", "reward", "judge", "adapter", "candidate"})
"""Filled in by the launcher: never a difference from a preset."""


@dataclass(frozen=True, kw_only=True)
class ConfigLine:
    """One value of a config."""

    name: str
    value: str
    preset: str
    differs: bool
    note: str


def config_class_of(config: dict[str, Any]) -> type[RunConfig] | None:
    """The dataclass of a stored config; None where its recipe is not known any more."""
    return CONFIGS.get(str(config.get("recipe")))


def config_lines(config: dict[str, Any]) -> list[ConfigLine]:
    """All values of a stored config, in the order of its dataclass."""
    config_class = config_class_of(config)
    preset = str(config.get("preset", "small"))
    defaults = default_values(config_class, preset) if config_class else {}
    notes = field_notes(config_class) if config_class else {}
    return [
        ConfigLine(
            name=name,
            value=spell(value),
            preset=spell(defaults.get(name, "")),
            differs=name not in MECHANICAL and name in defaults and value != defaults[name],
            note=notes.get(name, ""),
        )
        for name, value in config.items()
    ]


def config_differences(configs: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Names whose values are not the same in all configs, with each config's value."""
    names = dict.fromkeys(name for config in configs for name in config)
    rows = [(name, [spell(config.get(name, "")) for config in configs]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]
