"""A form made from a recipe's config dataclass: one field each, named and explained by it.

Knows nothing of projects or runs: defaults in, changed values out. What the values have to obey
stands in `training/configs.py` alone; its problems are shown at the fields they name.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from training.configs import ConfigError, RunConfig
from training.configs.notes import notes_of

STAND_INS = {"base": "base", "reward": "reward", "judge": "judge"}
"""Paths that the launcher fills in; here only so that a config can be checked."""


def field_notes(config_class: type[RunConfig]) -> dict[str, str]:
    """The sentence under each field of the dataclass and of those it extends, translated."""
    return {name: _(note) for name, note in notes_of(config_class.recipe).items()}


def spell(value: object) -> str:
    """A config's value as it is typed into a field and shown in a table."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(spell(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value)


def _options(hint: Any) -> tuple[Any, ...]:
    """The types a field may have: `float | None` has two, `int` one."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def typed(value: object) -> str:
    """As `spell`, but a number keeps every digit, so that saving a form again changes nothing."""
    if isinstance(value, list | tuple):
        return ", ".join(typed(item) for item in value)
    return repr(value) if isinstance(value, float) else spell(value)


class ConfigValueField(forms.CharField):
    """One value of a config. Empty: left as it is. 'none' where the field may be empty."""

    def __init__(self, *, hint: Any, **options: Any) -> None:
        self.hint = hint
        super().__init__(required=False, strip=True, **options)

    def to_python(self, value: Any) -> Any:
        """The typed value, or None when the field was left empty (see `UNSET`)."""
        text = super().to_python(value)
        return UNSET if not text else self.parse(text)

    def parse(self, text: str) -> Any:
        """Read one value. Raises ValidationError, saying what would be right."""
        options = _options(self.hint)
        if type(None) in options and text.lower() == "none":
            return None
        kind = next(option for option in options if option is not type(None))
        if get_origin(kind) is list:
            inner = ConfigValueField(hint=get_args(kind)[0])
            return [inner.parse(part.strip()) for part in text.split(",") if part.strip()]
        try:
            return kind(text) if kind in (int, float) else text
        except ValueError as error:
            raise ValidationError(self.sentence(kind, type(None) in options)) from error

    def sentence(self, kind: Any, optional: bool) -> str:
        """What would be right."""
        wanted = _("a whole number") if kind is int else _("a number")
        if optional:
            return _("Must be %(wanted)s, or the word none.") % {"wanted": wanted}
        return _("Must be %(wanted)s.") % {"wanted": wanted}

    def validate(self, value: Any) -> None:
        """Nothing more here: the config says what holds between fields."""


class Unset:
    """A field that was left empty; None is a value of its own."""

    def __bool__(self) -> bool:
        return False


UNSET = Unset()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigRow:
    """A field beside the value it has when nothing is typed."""

    field: forms.BoundField
    name: str
    default: str
    note: str


class ConfigForm(forms.Form):
    """The values of one recipe that may be changed; use `config_form` to make one."""

    config_class: type[RunConfig]
    defaults: dict[str, Any]

    def changes(self) -> dict[str, Any]:
        """What was typed and differs from the defaults."""
        return {
            name: value
            for name, value in self.cleaned_data.items()
            if value is not UNSET and value != "" and value != self.defaults.get(name)
        }

    def rows(self) -> list[ConfigRow]:
        """Fields with their defaults, for a template."""
        notes = field_notes(self.config_class)
        return [
            ConfigRow(
                field=self[name],
                name=name,
                default=spell(self.defaults.get(name)),
                note=notes.get(name, ""),
            )
            for name in self.fields
        ]

    def clean(self) -> dict[str, Any]:
        """Let the config check the whole; its problems go to the fields they name."""
        if self.errors:
            return self.cleaned_data
        known = {item.name for item in dataclasses.fields(self.config_class)}
        stand_ins = {name: value for name, value in STAND_INS.items() if name in known}
        values = {**stand_ins, **self.defaults, **self.changes()}
        for name, value in stand_ins.items():
            values[name] = values[name] or value
        try:
            self.config_class.from_dict(values)
        except ConfigError as error:
            for problem in error.problems:
                name, _colon, sentence = problem.partition(": ")
                self.add_error(name if name in self.fields else None, sentence or problem)
        return self.cleaned_data


def default_values(config_class: type[RunConfig], preset: str) -> dict[str, Any]:
    """Every field of the preset, without the paths a launcher fills in."""
    values: dict[str, Any] = {}
    for item in dataclasses.fields(config_class):
        if item.default is not dataclasses.MISSING:
            values[item.name] = item.default
        elif item.default_factory is not dataclasses.MISSING:
            values[item.name] = item.default_factory()
    return {**values, **config_class.presets.get(preset, {}), "preset": preset}


def _form_field(hint: Any, default: object) -> forms.Field:
    if get_origin(hint) is typing.Literal:
        kept = _("as it is (%(value)s)") % {"value": spell(default)}
        choices = [("", kept), *((option, option) for option in get_args(hint))]
        return forms.TypedChoiceField(choices=choices, required=False)
    numeric = {int, float} & set(_options(hint))
    attributes = {"inputmode": "decimal"} if numeric else {}
    attributes["autocomplete"] = "off"
    return ConfigValueField(hint=hint, widget=forms.TextInput(attrs=attributes))


def config_form(
    config_class: type[RunConfig],
    names: Sequence[str],
    *,
    defaults: dict[str, Any],
    changed: dict[str, Any] | None = None,
    data: Any = None,
    prefix: str | None = None,
) -> ConfigForm:
    """A form over the fields `names` of `config_class`.

    defaults: the value of each field when nothing is typed; changed: what is typed already.
    """
    hints = get_type_hints(config_class)
    fields: dict[str, Any] = {name: _form_field(hints[name], defaults.get(name)) for name in names}
    made = type(
        f"{config_class.__name__}Form",
        (ConfigForm,),
        {**fields, "config_class": config_class, "defaults": defaults},
    )
    initial = {name: typed(value) for name, value in (changed or {}).items()}
    form: ConfigForm = made(data, initial=initial, prefix=prefix)
    return form
