"""docs/recipes.md names functions and tests; each of them is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
TRAINER, TESTS = ROOT / "training" / "rlhf", Path(__file__).parent
MODULES = {path.stem for path in TRAINER.glob("*.py")}
TEST = re.compile(r"`(test_\w+\.py)::(\w+)`")
CODE = re.compile(r"`(\w+)\.(\w+)`")


def defined(path):
    """Every function and class of a file, methods too."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


@pytest.mark.parametrize(("file", "name"), sorted(set(TEST.findall(PAGE))))
def test_every_test_that_it_names_is_there(file, name):
    assert name in defined(TESTS / file)


@pytest.mark.parametrize(
    ("module", "name"), sorted(pair for pair in set(CODE.findall(PAGE)) if pair[0] in MODULES)
)
def test_every_function_that_it_names_is_there(module, name):
    assert name in defined(TRAINER / f"{module}.py")


def test_each_of_the_eighteen_details_has_a_test():
    rows = re.findall(r"^\| (\d*) \| .* \| (.*) \|$", PAGE, flags=re.MULTILINE)
    numbers = [int(number) for number, _ in rows if number]
    assert numbers == list(range(1, 19))
    assert all(TEST.search(tests) for _, tests in rows)
