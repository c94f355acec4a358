"""A linear reward model by ridge regression on features of completions.

Features and ranks in, weights and out-of-fold scores out; knows nothing of language models. A few
hundred rankings are too few to tune a network, but enough for a linear fit on what the frozen
model has computed anyway (docs/experiments.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from training.rlhf.bootstrap import Interval, ratio_interval
from training.rlhf.groups import sums_by_group
from training.rlhf.least_squares import Basis, solve
from training.rlhf.rankings import Rankings

RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Candidates for λ, in units of one standardised feature's variance."""


def accuracy_interval(
    scores: Tensor, rankings: Rankings, *, draws: int, seed: int, alpha: float = 0.05
) -> Interval:
    """Share of untied pairs in the labeler's order, equal scores one half; bootstrap over groups.

    scores: (rows,). Pairs weigh alike, as in the accuracy that InstructGPT reports.
    """
    differences = rankings.differences(scores)
    good = (differences > 0).double() + 0.5 * (differences == 0).double()
    groups = [rankings.groups[number] for number in rankings.untied[2].tolist()]
    right, total = sums_by_group(groups, good.numpy(), np.ones(len(groups)))
    return ratio_interval(right, total, draws=draws, seed=seed, alpha=alpha)


def log_loss(scores: Tensor, rankings: Rankings) -> float:
    """Mean −log σ(r_i − r_j) in nats, each ranking's untied pairs sharing its label weight.

    scores: (rows,) log-odds. log 2 without a single untied pair.
    """
    if not rankings.pairs:
        return math.log(2)
    differences = rankings.differences(scores.double())
    return float(-(_pair_weights(rankings) * logsigmoid(differences)).sum())


def calibration(scores: Tensor, rankings: Rankings) -> tuple[float, float]:
    """The a ≥ 0 for which σ(a·(r_i − r_j)) fits the labels best, and its `log_loss` in nats.

    Newton's method on one number. Scores that order nothing get a = 0 and log 2.
    """
    differences = rankings.differences(scores.double())
    spread = float(differences.abs().mean()) if len(differences) else 0.0
    if spread < 1e-12:
        return 0.0, math.log(2)
    weights, differences = _pair_weights(rankings), differences / spread
    scale = 0.0
    for _ in range(50):
        wrong = torch.sigmoid(-scale * differences)
        slope = float((weights * wrong * differences).sum())
        bend = float((weights * wrong * (1 - wrong) * differences**2).sum()) + 1e-9
        step = max(-2.0, min(2.0, slope / bend))
        scale = max(0.0, min(50.0, scale + step))
        if abs(step) < 1e-10:
            break
    return scale / spread, float(-(weights * logsigmoid(scale * differences)).sum())


def _pair_weights(rankings: Rankings) -> Tensor:
    """What each untied pair counts for; they sum to 1. (pairs,) float64."""
    number = rankings.untied[2]
    counts = torch.bincount(number, minlength=len(rankings)).clamp(min=1)
    weights = (torch.tensor(rankings.weights, dtype=torch.float64) / counts)[number]
    return weights / weights.sum()


def fold_numbers(groups: Sequence[str], folds: int, seed: int) -> list[int]:
    """Which fold each ranking belongs to: those of one group share theirs, folds are even."""
    names = sorted(set(groups))
    order = np.random.default_rng([seed, len(names)]).permutation(len(names))
    fold = {names[place]: position % folds for position, place in enumerate(order.tolist())}
    return [fold[group] for group in groups]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """weight: (features,) float64, in raw feature units; columns outside `columns` are 0.

    scores = features @ weight. out_of_fold: (rows,) scores of each row by a fit that saw no
    ranking of its group, λ and columns chosen without it as well; nan for rows in no ranking.
    """

    weight: Tensor
    columns: str
    ridge: float
    out_of_fold: Tensor
    log_losses: dict[str, float]
    """Inner cross-validated log loss of every candidate, 'columns λ' → nats."""


def fit_probe(
    features: Tensor,
    rankings: Rankings,
    columns: Mapping[str, Sequence[int]],
    *,
    folds: int,
    seed: int,
    freedom: Tensor | None = None,
    ridges: Sequence[float] = RIDGES,
) -> Probe:
    """Least squares on score differences: w·(x_i − x_j) ≈ 1 where i is above j, 0 where tied.

    features: (rows, f) float. columns: candidates, name → which features it may use. Summed over
    all pairs of a ranking this is ridge regression on features centred within the ranking, with
    target (wins − losses)/K; each ranking weighs its label weight, whatever its K. Columns and λ
    are those with the lowest calibrated log loss on held-out groups. `out_of_fold` is nested:
    the choice for a fold is made on the others, so that it flatters nothing. folds: 3 or more, and
    no more than there are groups. freedom: (f,), 1 where None: the prior's standard deviation of
    each standardised feature's weight, which λ stands for; at 10 a feature gets λ/100.
    """
    if not 3 <= folds <= len(set(rankings.groups)):
        raise ValueError(f"fit_probe: {folds} folds over {len(set(rankings.groups))} groups")
    numbers = fold_numbers(rankings.groups, folds, seed)
    free = torch.ones(features.shape[1]) if freedom is None else freedom
    scores = _CandidateScores(features, rankings, numbers, folds, free.double())
    for name, chosen in columns.items():
        scores.add(name, chosen, ridges)
    out_of_fold = torch.full((len(features),), float("nan"), dtype=torch.float64)
    for fold in range(folds):
        best, _ = scores.best(without=fold)
        for rows in scores.fold_rankings[fold].rows:
            out_of_fold[list(rows)] = scores.outer[best][fold][list(rows)]
    (name, ridge), losses = scores.best(without=None)
    return Probe(
        weight=scores.weights[name, ridge],
        columns=name,
        ridge=ridge,
        out_of_fold=out_of_fold,
        log_losses={f"{key[0]} {key[1]:g}": loss for key, loss in losses.items()},
    )


class _CandidateScores:
    """Held-out scores of every candidate (columns, λ), for every pair of folds left out.

    Normal equations add up over folds, so that each fit is a subtraction and a solve.
    """

    def __init__(
        self,
        features: Tensor,
        rankings: Rankings,
        numbers: Sequence[int],
        folds: int,
        freedom: Tensor,
    ) -> None:
        self.features, self.freedom = features.double(), freedom
        self.folds = folds
        self.rankings = rankings
        self.fold_rankings = [
            rankings.subset([i for i, n in enumerate(numbers) if n == fold])
            for fold in range(folds)
        ]
        self.outer: dict[tuple[str, float], list[Tensor]] = {}
        self.inner: dict[tuple[str, float], dict[tuple[int, int], Tensor]] = {}
        self.weights: dict[tuple[str, float], Tensor] = {}

    def add(self, name: str, columns: Sequence[int], ridges: Sequence[float]) -> None:
        """Fit one set of columns with every λ, leaving out no fold, each one, and each two."""
        chosen = torch.tensor(list(columns))
        basis = Basis(self.features[:, chosen], self.rankings, self.freedom[chosen])
        parts = [basis.fold(part) for part in self.fold_rankings]
        for ridge in ridges:
            key = (name, ridge)
            self.weights[key] = torch.zeros(self.features.shape[1], dtype=torch.float64)
            self.weights[key][chosen] = basis.raw(solve(parts, ridge))
            self.outer[key] = [
                basis.rows @ solve([p for i, p in enumerate(parts) if i != fold], ridge)
                for fold in range(self.folds)
            ]
            self.inner[key] = {}
            for one in range(self.folds):
                for other in range(one):
                    left = [p for i, p in enumerate(parts) if i not in (one, other)]
                    scores = basis.rows @ solve(left, ridge)
                    self.inner[key][one, other] = self.inner[key][other, one] = scores

    def best(
        self, *, without: int | None
    ) -> tuple[tuple[str, float], dict[tuple[str, float], float]]:
        """The candidate with the lowest log loss on held-out folds, never looking at `without`."""
        losses = {}
        for key in self.outer:
            held_out = torch.zeros(len(self.features), dtype=torch.float64)
            used = [fold for fold in range(self.folds) if fold != without]
            for fold in used:
                scores = (
                    self.outer[key][fold] if without is None else self.inner[key][without, fold]
                )
                for rows in self.fold_rankings[fold].rows:
                    held_out[list(rows)] = scores[list(rows)]
            seen = [self.fold_rankings[fold] for fold in used]
            losses[key] = calibration(held_out, _joined(seen))[1]
        return min(losses, key=lambda key: (losses[key], -key[1])), losses


def _joined(parts: Sequence[Rankings]) -> Rankings:
    return Rankings(
        rows=[rows for part in parts for rows in part.rows],
        ranks=[ranks for part in parts for ranks in part.ranks],
        prompts=[prompt for part in parts for prompt in part.prompts],
        weights=[weight for part in parts for weight in part.weights],
        groups=[group for part in parts for group in part.groups],
    )
