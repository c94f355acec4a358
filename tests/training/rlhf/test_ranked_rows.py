"""Rankings as a run directory has them, and as an export of the product has them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.rlhf.rehearsal import write_run
from training.configs import DpoConfig
from training.rlhf.durable import RunError
from training.rlhf.ranked import RankedRows, read_rankings
from training.rlhf.ranking_tables import ranking_table
from training.rlhf.rundir import RunDirectory


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


def test_grades_count_where_a_margin_is_asked_for(tmp_path: Path) -> None:
    graded = row(1, 1.0) | {"likert": [6, 3]}
    write_run(tmp_path / "run", DpoConfig(base="nowhere"), rankings=[graded, row(2, 1.0)])
    directory = RunDirectory.open(tmp_path / "run")
    try:
        without = read_rankings(directory, "train")
        with_grades = read_rankings(directory, "train", grade_margin=0.5)
    finally:
        directory.close()
    found = with_grades.rankings
    assert without.oddities() == {}
    assert with_grades.oddities() == {"rankings_without_grades": 1}
    assert [list(own) for own in without.rankings.worth] == [[], []]
    assert [list(own) for own in found.worth] == [[3.0, 1.5], []]
    assert (found.lead(0, 0, 1), found.lead(0, 1, 0), found.lead(1, 0, 1)) == (1.5, 0, 0)
    table = ranking_table(found.subset([1, 0]), [0, 1, 2, 3], torch.device("cpu"))
    assert table.worth.tolist() == [[0, 0], [3.0, 1.5]]


def test_a_better_version_without_a_grade_leaves_those_of_the_others(tmp_path: Path) -> None:
    graded = {**ranking(1, "xab", 1, 2, 3), "likert": [None, 5, 2]}
    write_run(tmp_path / "run", DpoConfig(base="nowhere"), rankings=[graded])
    directory = RunDirectory.open(tmp_path / "run")
    try:
        found = read_rankings(directory, "train", grade_margin=1.0).rankings
    finally:
        directory.close()
    assert [found.lead(0, i, j) for i, j in ((0, 1), (0, 2), (1, 2))] == [0, 0, 3]


@pytest.mark.parametrize("grades", [[1], [0, 3], [8, 1], ["7", 1], [True, 2], 5])
def test_grades_that_are_none_are_refused_with_their_line(tmp_path: Path, grades: object) -> None:
    with pytest.raises(RunError) as refused:
        read(tmp_path / "run", [row(1, 1.0), row(2, 1.0) | {"likert": grades}])
    assert refused.value.code == "data_invalid"
    assert refused.value.values["line"] == 2
    assert "likert" in refused.value.values["problem"]


def ranking(number: int, texts: str, *ranks: int) -> dict[str, Any]:
    completions = [{"text": text, "source": "base", "finished": True} for text in texts]
    return {**row(1, 1.0), "id": str(number), "completions": completions, "ranks": [*ranks]}


def test_what_teaches_nothing_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    """By hand: ab > , ba > is one contradiction; aab ranks one text twice, 1 and 3."""
    found = read(
        tmp_path / "run",
        [
            ranking(1, "ab", 1, 2),
            ranking(2, "ba", 1, 2),
            ranking(3, "a", 1),
            ranking(4, "cde", 1, 1, 1),
            ranking(5, "aab", 1, 3, 2),
        ],
    )
    assert found.ids == ["1", "2", "4", "5"]
    assert found.oddities() == {
        "rankings_of_one": 1,
        "rankings_all_tied": 1,
        "equal_texts_apart": 1,
        "pairs_contradicted": 1,
    }
    assert (found.rankings.pairs, found.rankings.tied_pairs) == (4, 3)


def test_completions_without_a_text_are_counted_each_once(tmp_path: Path) -> None:
    """Of two labelers on the same prompt, and of one more prompt."""
    same = ranking(1, "a b", 1, 3, 2)
    other = {**ranking(2, " c", 2, 1), "prompt": [{"role": "user", "content": "Another?"}]}
    found = read(tmp_path / "run", [same, {**same, "id": "3"}, other])
    assert found.oddities() == {"empty_texts_ranked": 2}
    assert len(found.rows) == 5, "they teach like the others"


def test_where_nothing_is_odd_nothing_is_said(tmp_path: Path) -> None:
    assert read(tmp_path / "run", [row(1, 1.0)]).oddities() == {}


def test_a_ranking_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="data_invalid"):
        read(tmp_path / "run", [ranking(1, "")])
