"""The sentence under each field of a config: forms show it, people translate it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from functools import cache

from training.configs import CONFIGS, RunConfig


@cache
def notes_of(recipe: str) -> dict[str, str]:
    """By field, of the recipe's dataclass and of those it extends; not every field needs one."""
    notes: dict[str, str] = {}
    for owner in reversed(CONFIGS[recipe].__mro__):
        if not (dataclasses.is_dataclass(owner) and issubclass(owner, RunConfig)):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for before, after in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(before, ast.AnnAssign)
                and isinstance(before.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                notes[before.target.id] = " ".join(after.value.value.split())
    return notes
