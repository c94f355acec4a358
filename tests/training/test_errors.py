"""What is kept of an error, and the sentence that it makes."""

import json
import math

from training.errors import MOST_CHARACTERS, explain, kept


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


def test_a_sentence_names_the_values():
    assert "“/models/x”" in explain("model_not_found", {"path": "/models/x"})
