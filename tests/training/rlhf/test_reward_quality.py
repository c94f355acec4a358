"""Where a reward model is right: parts of the held-out pairs, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.configs import RewardConfig
from training.rlhf.labeler_folds import scores_across_labelers
from training.rlhf.probe import accuracy_interval
from training.rlhf.rankings import Rankings
from training.rlhf.reward_quality import HeldOut, breakdown

CONFIG = RewardConfig(base="b", bootstrap=200)


def parts(held_out: HeldOut, by: str) -> dict[str, tuple[int, float]]:
    rows = breakdown(held_out, CONFIG)
    return {row["name"]: (row["pairs"], row["accuracy"]) for row in rows if row["by"] == by}


@pytest.fixture
def held_out() -> HeldOut:
    """Ann orders a < b < c rightly; Bob says the opposite of one pair and ties another."""
    return HeldOut(
        torch.tensor([2.0, 1.0, 0.0, 3.0, 0.0, 0.0]),
        Rankings(
            rows=[[0, 1, 2], [3, 4], [3, 4, 5]],
            ranks=[[1, 2, 3], [2, 1], [1, 2, 2]],
            prompts=["p", "q", "q"],
            weights=[1.0] * 3,
            labelers=["ann", "bob", "bob"],
            categories=["chat", "", ""],
        ),
    )


def test_each_labelers_pairs_are_counted(held_out: HeldOut) -> None:
    assert parts(held_out, "labeler") == {"ann": (3, 1.0), "bob": (3, pytest.approx(2 / 3))}


def test_prompts_without_a_category_are_in_none(held_out: HeldOut) -> None:
    assert parts(held_out, "category") == {"chat": (3, 1.0)}


def test_a_gap_is_the_difference_of_ranks(held_out: HeldOut) -> None:
    # Gap 1: two of Ann's (right), one of Bob's first (wrong), two of his second (right).
    assert parts(held_out, "gap") == {"1": (5, pytest.approx(4 / 5)), "2": (1, 1.0)}


def test_equal_scores_are_right_half_the_time() -> None:
    rankings = Rankings(rows=[[0, 1]], ranks=[[1, 2]], prompts=["p"], weights=[1.0])
    assert parts(HeldOut(torch.zeros(2), rankings), "certainty") == {"50": (1, 0.5)}


def test_it_is_parted_by_how_sure_it_is(held_out: HeldOut) -> None:
    # σ(1) = .731 twice, σ(2) = .881 once, σ(3) = .953: one wrong, two right.
    assert parts(held_out, "certainty") == {
        "70": (2, 1.0),
        "80": (1, 1.0),
        "90": (3, pytest.approx(2 / 3)),
    }
    rows = {row["name"]: row for row in breakdown(held_out, CONFIG) if row["by"] == "certainty"}
    assert rows["70"]["predicted"] == pytest.approx(0.7311, abs=1e-4)


def test_two_equal_completions_of_one_ranking_are_no_pair() -> None:
    rankings = Rankings(rows=[[0, 0, 1]], ranks=[[1, 3, 2]], prompts=["p"], weights=[1.0])
    found = parts(HeldOut(torch.tensor([1.0, 0.0]), rankings), "gap")
    assert found == {"1": (2, 0.5)}


class TestAcrossLabelers:
    """Two camps: one ranks by the first feature, the other by its opposite."""

    def scored(self, labelers: list[str], sign: list[int]) -> float | None:
        random = np.random.default_rng(3)
        features = random.normal(size=(4 * len(labelers), 3))
        ranks = [
            (np.argsort(np.argsort(-side * features[4 * n : 4 * n + 4, 0])) + 1).tolist()
            for n, side in enumerate(sign)
        ]
        rankings = Rankings(
            rows=[list(range(4 * n, 4 * n + 4)) for n in range(len(labelers))],
            ranks=ranks,
            prompts=[f"p{n}" for n in range(len(labelers))],
            weights=[1.0] * len(labelers),
            labelers=labelers,
        )
        found = scores_across_labelers(
            torch.tensor(features),
            rankings,
            range(3),
            ridge=0.1,
            freedom=torch.ones(3),
            folds=3,
            seed=0,
        )
        return None if found is None else accuracy_interval(*found, draws=50, seed=0).value

    def test_people_who_agree_are_predicted_by_each_other(self) -> None:
        assert self.scored(["ann", "bob"] * 30, [1] * 60) > 0.9

    def test_a_person_who_says_the_opposite_is_not(self) -> None:
        """Within folds of prompts alone nothing would show: half of each fold is Ann's."""
        assert self.scored(["ann", "bob"] * 30, [1, -1] * 30) < 0.1

    def test_one_person_alone_is_predicted_by_nobody(self) -> None:
        assert self.scored(["ann"] * 60, [1] * 60) is None

    def test_completions_that_two_people_ranked_are_scored_for_each(self) -> None:
        rankings = Rankings(
            rows=[[0, 1], [0, 1], [2, 3], [4, 5]],
            ranks=[[1, 2], [2, 1], [1, 2], [1, 2]],
            prompts=["p", "p", "q", "r"],
            weights=[1.0] * 4,
            labelers=["ann", "bob", "ann", "bob"],
        )
        found = scores_across_labelers(
            torch.randn(6, 3, dtype=torch.float64),
            rankings,
            range(3),
            ridge=0.1,
            freedom=torch.ones(3),
            folds=3,
            seed=0,
        )
        assert found is not None
        assert found[1].rows == [[0, 1], [2, 3], [4, 5], [6, 7]]
        assert len(found[0]) == 8
