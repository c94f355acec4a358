"""How good a reward model is, told from rankings that its fit did not see.

Scores and rankings in, numbers out; knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.configs import RewardConfig
from training.records import BreakdownRow, MarginRow, Part
from training.rlhf.bootstrap import ratio_interval
from training.rlhf.groups import sums_by_group
from training.rlhf.probe import accuracy_interval, log_loss
from training.rlhf.ranked import RankedRows
from training.rlhf.rankings import Rankings
from training.rlhf.rundir import ResultMetrics

EVEN = 0.5
CERTAINTY = 10
"""Percent: 50 to 60, 60 to 70 and so on are looked at apart."""


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


def breakdown(held_out: HeldOut, config: RewardConfig) -> list[BreakdownRow]:
    """Where it is right: by category, by labeler, by gap of rank, and by how sure it is.

    By how sure it is, in steps of CERTAINTY: a model that is right as often as it says is
    calibrated (a reliability diagram; Guo et al. 2017, section 2).
    """
    rankings = held_out.rankings
    number = rankings.untied[2].tolist()
    chance = torch.sigmoid(rankings.differences(held_out.scores.double())).numpy()
    right = np.select([chance > EVEN, chance < EVEN], [1.0, 0.0], default=0.5)
    sure = np.maximum(chance, 1 - chance)
    parts: dict[Part, list[str]] = {
        "category": [rankings.categories[index] for index in number],
        "labeler": [rankings.labelers[index] for index in number],
        "gap": [str(gap) for gap in rankings.gaps()],
        "certainty": [_certainty(chance) for chance in sure.tolist()],
    }
    found = []
    for by, names in parts.items():
        for name in sorted({*names} - {""}):
            own = np.array([place for place, other in enumerate(names) if other == name])
            groups = [rankings.groups[number[place]] for place in own]
            interval = ratio_interval(
                *sums_by_group(groups, right[own], np.ones(len(own))),
                draws=config.bootstrap,
                seed=config.seed,
            )
            found.append(
                BreakdownRow(
                    by=by,
                    name=name,
                    pairs=len(own),
                    accuracy=interval.value,
                    low=interval.low,
                    high=interval.high,
                    predicted=float(sure[own].mean()),
                )
            )
    return found


def _certainty(chance: float) -> str:
    """Of p ≥ ½ the step that it falls into, by its lower end in percent."""
    return str(min(int(chance * 100) // CERTAINTY * CERTAINTY, 100 - CERTAINTY))


def quality(config: RewardConfig, held_out: HeldOut, rankings: Rankings) -> ResultMetrics:
    """Accuracy on rankings that the fit did not see, and what it was fitted on.

    held_out: what the saved model says: a probe's of all folds, or a fine-tuned one's of the fold
    that it was judged on (`trial_quality` has the probe's beside it).

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


def trial_quality(config: RewardConfig, trial: HeldOut, probe: HeldOut | None) -> ResultMetrics:
    """What fine-tuning says of the rankings that it was judged on, beside the probe on the same.

    And the probe's own of all folds, which nothing else tells where it is not the saved model.
    """
    rankings = trial.rankings
    found = accuracy_interval(trial.scores, rankings, draws=config.bootstrap, seed=config.seed)
    metrics: ResultMetrics = {
        "tuned_accuracy": found.value,
        "tuned_low": found.low,
        "tuned_high": found.high,
        "tuned_log_loss": log_loss(trial.scores, rankings),
        "tuned_pairs": rankings.pairs,
    }
    if not rankings.pairs:
        metrics |= dict.fromkeys(("tuned_accuracy", "tuned_low", "tuned_high"))
    if probe is None:
        return metrics
    beside = accuracy_interval(probe.scores, rankings, draws=config.bootstrap, seed=config.seed)
    whole = accuracy_interval(
        probe.scores, probe.rankings, draws=config.bootstrap, seed=config.seed
    )
    return metrics | {
        "probe_accuracy": beside.value if rankings.pairs else None,
        "probe_log_loss": log_loss(probe.scores, rankings),
        "probe_oof_accuracy": whole.value if probe.rankings.pairs else None,
        "probe_oof_low": whole.low if probe.rankings.pairs else None,
        "probe_oof_high": whole.high if probe.rankings.pairs else None,
    }


def quality_across_labelers(
    config: RewardConfig, found: tuple[Tensor, Rankings] | None
) -> ResultMetrics:
    """Accuracy on the rankings of people whose work no fit has seen (InstructGPT, section 4.1).

    found: as `labeler_folds.scores_across_labelers` gives it; None: there are too few people.
    """
    if found is None:
        return dict.fromkeys(("labelers_accuracy", "labelers_low", "labelers_high"))
    interval = accuracy_interval(*found, draws=config.bootstrap, seed=config.seed)
    return {
        "labelers_accuracy": interval.value,
        "labelers_low": interval.low,
        "labelers_high": interval.high,
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
