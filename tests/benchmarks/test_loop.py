"""`make loop`, bounded: one round of the real product on a tiny model, with simulated labelers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from rapidfuzz import fuzz, process

from benchmarks import loop
from labeling.models import Split
from labeling.prompts import split_for
from tests.tiny_runs import OVERRIDES

pytestmark = [pytest.mark.model, pytest.mark.timeout(900), pytest.mark.xdist_group("product")]

GOLD = """
def gold(prompt, completion):
    letters = [letter for letter in completion if letter.isalpha()]
    return sum(letter < "n" for letter in letters) / max(1, len(letters))
"""


def test_the_command_hands_on_what_is_asked_of_it() -> None:
    asked = {"GOLD": "benchmarks/gold/length.py", "SEED": "7", "ROUNDS": "3", "MINUTES": "12.5"}
    wanted = subprocess.run(
        ["make", "-n", "loop", *(f"{name}={value}" for name, value in asked.items())],
        cwd=loop.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", " ")
    (command,) = (line for line in wanted.splitlines() if "benchmarks.loop" in line)
    plan, kept = loop.chosen_plan(command.split("benchmarks.loop")[1].split())
    assert (plan.name, plan.seed, plan.rounds, plan.minutes) == ("length", 7, 3, 12.5)
    assert kept is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [(None, "is not there"), ("gold = 3", "has no function gold"), ("def gold(:", "line 1")],
)
def test_a_gold_file_that_is_none_is_named(tmp_path: Path, text: str | None, problem: str) -> None:
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit, match=problem) as said:
        loop.load_gold(path)
    assert str(path) in str(said.value)


def test_it_reports_on_prompts_that_nothing_was_tuned_on() -> None:
    rows = loop.prompt_rows(seed=0)
    splits = {row["prompt"]: split_for(row.get("group", row["prompt"])) for row in rows}
    assert len(splits) == len(rows)
    evaluated = [prompt for prompt, split in splits.items() if split == Split.EVALUATION]
    demo = {json.loads(line)["prompt"] for line in loop.PROMPTS.read_text().splitlines()}
    assert len(evaluated) == loop.Plan(gold_file=Path("x.py"), minutes=1).evaluation_prompts == 200
    assert not demo & set(evaluated)
    near = process.cdist(evaluated, list(demo), scorer=fuzz.token_set_ratio, score_cutoff=75)
    assert near.max() == 0


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
    assert row["rm_own_pairs_accuracy"] is not None
    assert row["seed"] == 0
    assert row["labeler_accuracy"] == result["labeler_accuracy"]
    assert result["labeler_agreement"] > 0.8
    assert all(row[f"seconds_{stage}"] > 0 for stage in row["seconds"])
    assert set(row["seconds"]) == {"rankings", "reward", "judge", "best_of", "ppo", "evaluate"}
    assert "| 1 |" in loop.table(result)
