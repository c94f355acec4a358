"""How good a reward model is, told from rankings that its fit did not see.

Scores and rankings in, numbers out; knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.configs import RewardConfig
from training.records import MarginRow
from training.rlhf.probe import accuracy_interval, log_loss
from training.rlhf.ranked import RankedRows
from training.rlhf.rankings import Rankings
from training.rlhf.rundir import ResultMetrics


@dataclass(frozen=True)
class HeldOut:
    """What a fit says of rankings that it did not see. scores: (rows,) log-odds."""

    scores: Tensor
    rankings: Rankings


def margins(held_out: HeldOut, ids: Sequence[str]) -> list[MarginRow]:
    """The smallest |p − ½| over the untied pairs of each ranking; without such a pair, no row.

    ids: of `held_out.rankings`, in their order.
    """
    number = held_out.rankings.untied[2].tolist()
    chances = torch.sigmoid(held_out.rankings.differences(held_out.scores.double()))
    smallest: dict[int, float] = {}
    for ranking, margin in zip(number, (chances - 0.5).abs().tolist(), strict=True):
        smallest[ranking] = min(margin, smallest.get(ranking, 0.5))
    return [MarginRow(id=ids[ranking], margin=margin) for ranking, margin in smallest.items()]


def quality(config: RewardConfig, held_out: HeldOut, rankings: Rankings) -> ResultMetrics:
    """Accuracy on rankings that the fit did not see, and what it was fitted on.

    Every untied pair counts the same in an accuracy, whoever ordered it; the log loss, which fits
    are chosen by, is weighted as the fit itself is.
    """
    found = accuracy_interval(
        held_out.scores, held_out.rankings, draws=config.bootstrap, seed=config.seed
    )
    known = held_out.rankings.pairs > 0
    return {
        "oof_accuracy": found.value if known else None,
        "oof_low": found.low if known else None,
        "oof_high": found.high if known else None,
        "oof_log_loss": log_loss(held_out.scores, held_out.rankings),
        "rankings": len(rankings),
        "prompts": len(set(rankings.prompts)),
        "pairs": rankings.pairs,
        "tied_pairs": rankings.tied_pairs,
    }


def test_quality(config: RewardConfig, scores: Tensor, test: RankedRows) -> ResultMetrics:
    """Accuracy on the prompts that no fit has seen; None where there is no untied pair of them."""
    if not test.rankings.pairs:
        return {"test_accuracy": None, "test_low": None, "test_high": None, "test_pairs": 0}
    found = accuracy_interval(scores, test.rankings, draws=config.bootstrap, seed=config.seed)
    return {
        "test_accuracy": found.value,
        "test_low": found.low,
        "test_high": found.high,
        "test_pairs": test.rankings.pairs,
    }
