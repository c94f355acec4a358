"""What is kept of an error, and the sentence that it makes."""

import json
import math

from training.errors import explain, kept


def test_what_no_column_can_hold_is_replaced():
    values = {"path": "a\x00b\ud800", "found": 3, "share": math.nan, "list": ["x"], "low": 0.5}
    stored = kept(values)
    assert stored == {
        "path": "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}",
        "found": 3,
        "share": "nan",
        "list": "['x']",
        "low": 0.5,
    }
    json.dumps(stored, allow_nan=False).encode()


def test_a_sentence_names_the_values():
    assert "“/models/x”" in explain("model_not_found", {"path": "/models/x"})
