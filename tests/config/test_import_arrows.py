"""The import contracts name what is there: a new module is on one side of each of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TRAINERS_OWN = {"training.configs", "training.records", "training.rlhf"}


def contract(name: str) -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    found: dict[str, Any] = next(one for one in contracts if one["name"] == name)
    return found


def test_the_trainer_may_import_nothing_of_the_web_side() -> None:
    there = {
        f"training.{path.stem}"
        for path in (ROOT / "training").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    } - {"training.__init__"}
    forbidden = set(contract("the trainer knows only its contracts")["forbidden_modules"])
    assert there - TRAINERS_OWN == {name for name in forbidden if name.startswith("training.")}
