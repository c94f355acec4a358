"""`make loop`, bounded: one round of the real product on a tiny model, with simulated labelers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import loop
from benchmarks.product import ROOT

pytestmark = [pytest.mark.model, pytest.mark.timeout(900), pytest.mark.xdist_group("product")]

GOLD = """
def gold(prompt, completion):
    letters = [letter for letter in completion if letter.isalpha()]
    return sum(letter < "n" for letter in letters) / max(1, len(letters))
"""
CHANGES: dict[str, dict[str, Any]] = {
    "reward": {"folds": 3, "finetune": "never", "bootstrap": 100, "threads": 1},
    "ppo": {
        "episodes": 32,
        "prompts_per_batch": 8,
        "samples_per_prompt": 2,
        "evaluate_every": 16,
        "development_samples": 8,
        "threads": 1,
    },
    "evaluate": {"bootstrap": 100, "threads": 1},
}
"""With which a round of the tiny model takes seconds."""


def test_it_measures_each_round_by_the_hidden_score(tmp_path: Path) -> None:
    model, gold = tmp_path / "tiny", tmp_path / "early_letters.py"
    subprocess.run(
        [sys.executable, "-m", "training.rlhf.tiny_model", str(model)], cwd=ROOT, check=True
    )
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
        model=str(model),
        changes=CHANGES,
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
