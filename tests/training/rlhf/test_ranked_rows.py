"""Rankings as a run directory has them, and as an export of the product has them."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.rlhf.rehearsal import write_run
from training.configs import DpoConfig
from training.rlhf.ranked import RankedRows, read_rankings
from training.rlhf.rundir import RunDirectory, RunError


def row(number: int, weight: float) -> dict[str, Any]:
    texts = ("good", "bad")
    return {
        "id": str(number),
        "split": "train",
        "prompt": [{"role": "user", "content": f"Question {number}?"}],
        "completions": [
            {"id": text, "text": text, "source": "base", "finished": True} for text in texts
        ],
        "ranks": [1, 2],
        "labeler": "ann",
        "weight": weight,
    }


def read(folder: Path, rankings: list[dict[str, Any]]) -> RankedRows:
    write_run(folder, DpoConfig(base="nowhere"), rankings=rankings)
    directory = RunDirectory.open(folder)
    try:
        return read_rankings(directory, "train")
    finally:
        directory.close()


def test_rows_of_weight_zero_are_passed_over(tmp_path: Path) -> None:
    found = read(tmp_path / "run", [row(1, 1.0), row(2, 0.0), row(3, 0.25)])
    assert found.ids == ["1", "3"]
    assert found.rankings.weights == [1.0, 0.25]


def test_a_negative_weight_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(RunError) as refused:
        read(tmp_path / "run", [row(1, 1.0), row(2, -0.5)])
    assert refused.value.code == "data_invalid"
    assert refused.value.values["line"] == 2
