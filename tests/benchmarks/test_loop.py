"""`make loop`, bounded: one round of the real product on a tiny model, with simulated labelers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import loop
from tests.tiny_runs import OVERRIDES

pytestmark = [pytest.mark.model, pytest.mark.timeout(900), pytest.mark.xdist_group("product")]

GOLD = """
def gold(prompt, completion):
    letters = [letter for letter in completion if letter.isalpha()]
    return sum(letter < "n" for letter in letters) / max(1, len(letters))
"""


def test_it_measures_each_round_by_the_hidden_score(tmp_path: Path, tiny_model: Path) -> None:
    gold = tmp_path / "early_letters.py"
    gold.write_text(GOLD)
    plan = loop.Plan(
        gold_file=gold,
        rounds=1,
        minutes=10,
        agreement=0.95,
        k=6,
        max_new_tokens=12,
        first_rankings=60,
        evaluation_prompts=40,
        model=str(tiny_model),
        changes=OVERRIDES,
    )
    result = loop.run(plan, tmp_path / "data")
    assert result["gold"] == "early_letters"
    assert result["refusals"] == []
    assert 0.9 < result["labeler_accuracy"] <= 1
    (row,) = result["rounds"]
    assert row["state"] in {"deployed", "waiting"}
    assert row["rankings"] >= 60
    assert row["prompts"] == 40
    assert 0 <= row["low"] <= row["gold_win_rate"] <= row["high"] <= 1
    assert row["rm_gold_accuracy"] > 0.5
    assert set(row["seconds"]) == {"reward", "judge", "best_of", "ppo", "evaluate"}
    assert "| 1 |" in loop.table(result)
