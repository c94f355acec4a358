"""What every config has: it validates itself, is read from JSON and written to it.

Standard library only. Knows no recipe.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Self, get_args, get_type_hints

from training.configs.limits import LIMITS

Preset = Literal["small", "paper"]

PRESETS: tuple[str, ...] = get_args(Preset)


class ConfigError(ValueError):
    """A config that cannot be run. `problems` holds every one of them, with what would be right."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class Problems:
    """Collects what is wrong with a config, so that all of it is reported at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def unless(self, holds: bool, message: str) -> None:
        if not holds:
            self.found.append(message)

    def unless_within_limits(self, config: RunConfig) -> None:
        """Every number has its limits; null, where a field may be empty, has none."""
        for item in fields(config):
            limits, value = LIMITS.get(item.name), getattr(config, item.name)
            if limits is not None and value is not None and not limits.hold(value):
                empty = type(None) in get_args(get_type_hints(type(config))[item.name])
                wanted = f"{limits}, or null" if empty else str(limits)
                self.found.append(f"{item.name}: must be {wanted}, is {value}")

    def one_of(self, config: object, name: str, allowed: tuple[str, ...]) -> None:
        value = getattr(config, name)
        self.unless(value in allowed, f"{name}: must be one of {', '.join(allowed)}, is {value!r}")

    def raise_if_any(self) -> None:
        if self.found:
            raise ConfigError(self.found)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every recipe needs to know."""

    recipe: ClassVar[str]
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    base: str
    """Folder of the base model (safetensors, tokenizer), or a hub name."""
    preset: Preset = "small"
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: measured once at the start and then kept in the state."""
    threads: int = 0
    """CPU threads; 0: one per core. Chosen once and then kept in the state."""

    def __post_init__(self) -> None:
        problems = Problems()
        self.check(problems)
        problems.raise_if_any()

    def check(self, problems: Problems) -> None:
        """Add to `problems` whatever makes this config impossible."""
        problems.unless(bool(self.base), "base: must name a model folder or a hub model")
        problems.one_of(self, "preset", PRESETS)
        problems.one_of(self, "precision", ("auto", "float32", "bfloat16"))
        problems.unless_within_limits(self)

    @classmethod
    def from_preset(cls, preset: Preset, **values: Any) -> Self:
        """The preset's numbers, with `values` over them."""
        return cls(**{**cls.presets.get(preset, {}), "preset": preset, **values})

    def to_json(self) -> str:
        """One JSON object with the recipe's name and every field."""
        return json.dumps({"recipe": self.recipe, **dataclasses.asdict(self)}, indent=2)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from parsed JSON; what is not named is the preset's that it names.

        Raises ConfigError with every problem at once: unknown, missing and mistyped fields, and
        what makes the others impossible.
        """
        problems: list[str] = []
        known = {item.name for item in fields(cls)}
        hints = get_type_hints(cls)
        for name in sorted(set(values) - known - {"recipe"}):
            problems.append(f"{name}: no such field; known are {', '.join(sorted(known))}")
        fitting = {}
        for name in sorted(set(values) & known):
            if _fits(values[name], hints[name]):
                fitting[name] = values[name]
            else:
                problems.append(f"{name}: must be {_spell(hints[name])}, is {values[name]!r}")
        needed = {item.name for item in fields(cls) if item.default is dataclasses.MISSING}
        if "base" in needed - set(values):
            problems.append("base: is missing; name a model folder or a hub model")
            fitting["base"] = "?"
        preset = cls.presets.get(str(fitting.get("preset", "small")), {})
        try:
            config = cls(**{**preset, **fitting})
        except ConfigError as error:
            raise ConfigError([*problems, *error.problems]) from error
        if problems:
            raise ConfigError(problems)
        return config


def _fits(value: object, hint: Any) -> bool:
    """True when a JSON value can stand for `hint` (numbers, strings, literals, optional ones)."""
    options = get_args(hint)
    if hint in (int, float):
        number = isinstance(value, int if hint is int else int | float)
        return number and not isinstance(value, bool) and math.isfinite(float(str(value)))
    if hint in (str, bool, type(None)):
        return isinstance(value, hint)
    if str(hint).startswith("typing.Literal"):
        return value in options
    if getattr(hint, "__origin__", None) in (list, tuple):
        inner = options[0]
        return isinstance(value, list | tuple) and all(_fits(item, inner) for item in value)
    return any(_fits(value, option) for option in options)


def _spell(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if not get_args(hint) else str(hint)
