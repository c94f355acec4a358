"""What is kept of an error, and the sentence that it makes."""

import ast
import json
import math
from pathlib import Path

import training.rlhf
from training.errors import MOST_CHARACTERS, explain, kept

TRAINER = Path(training.rlhf.__file__).parent


def test_what_no_column_can_hold_is_replaced():
    values = {
        "path": "a\x00b\ud800",
        "found": 3,
        "share": math.nan,
        "list": ["x"],
        "low": 0.5,
        "big": 10**400,
    }
    stored = kept(values)
    assert stored == {
        "path": "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}",
        "found": 3,
        "share": "nan",
        "list": "['x']",
        "low": 0.5,
        "big": 10**400,
    }
    json.dumps(stored, allow_nan=False).encode()


def test_a_text_without_end_is_cut():
    assert len(kept({"message": "x" * 10**6})["message"]) == MOST_CHARACTERS


def raised() -> list[tuple[str, str, frozenset[str]]]:
    """Each `RunError(code, name=…)` of the trainer's source: where, the code, the values' names."""
    found = []
    for path in sorted(TRAINER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RunError":
                code = ast.literal_eval(node.args[0])
                names = frozenset(keyword.arg for keyword in node.keywords)
                found.append((f"{path.name}:{node.lineno}", code, names))
    return found


def test_each_error_of_the_trainer_makes_its_own_sentence():
    """With the values that it is raised with: a sentence that lacks one falls back to the code."""
    errors = raised()
    assert len({code for _, code, _ in errors}) > 10
    for where, code, names in errors:
        sentence = explain(code, dict.fromkeys(names, "<value>"))
        assert "with the code" not in sentence, where
        assert not names or "<value>" in sentence, where


def test_a_sentence_names_the_values():
    assert "“/models/x”" in explain("model_not_found", {"path": "/models/x"})


def test_a_batch_is_named_where_it_is_known():
    values = {"step": 3, "quantity": "score"}
    assert "score became infinite or undefined at step 3. A lower" in explain("not_finite", values)
    batch = {"file": "data/prompts.jsonl", "rows": "a, b, c, …", "count": 16}
    said = explain("not_finite", values | batch)
    assert "score became infinite or undefined at step 3" in said
    assert "data/prompts.jsonl: a, b, c, … (16 in all)" in said
