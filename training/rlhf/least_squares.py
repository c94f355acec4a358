"""Least squares on ranks: normal equations of rankings, and their solution.

Summed over all pairs of a ranking, (w·(x_i − x_j) − y)² with y = 1 where i is above j and 0 where
they are tied is, but for a constant, least squares on rows centred within the ranking, with target
(wins − losses)/K; where a ranking says by how much more i is to lie above j, that is added to the y
of the pair. Knows nothing of folds, or of how a fit is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.rlhf.rankings import Rankings

MOST_DIRECTIONS = 1024
"""Principal directions of the features that a fit uses at most."""


@dataclass(frozen=True)
class Fold:
    """Normal equations of one fold's rankings: Σ w x xᵀ, Σ w x y, Σ w over their rows."""

    gram: Tensor
    moment: Tensor
    weight: float


class Basis:
    """The features standardised within rankings, times their freedom, in principal directions.

    Ridge regression does not see a rotation, so this is exact up to MOST_DIRECTIONS, and faster
    where rows are fewer than features; beyond that the directions that vary least are left out.
    """

    def __init__(self, features: Tensor, rankings: Rankings, freedom: Tensor) -> None:
        centred, weights, _ = normal_rows(features, rankings)
        variance = (weights.unsqueeze(1) * centred**2).sum(0) / weights.sum().clamp(min=1e-12)
        self.scale = torch.where(variance > 1e-12, variance.clamp(min=1e-12).rsqrt(), 0.0)
        self.scale = self.scale * freedom
        self.rotation: Tensor | None = None
        used = centred * self.scale
        if len(used) < used.shape[1]:
            values, vectors = torch.linalg.eigh(used @ used.T)
            keep = values > values.max().clamp(min=1e-12) * 1e-10
            values, vectors = values[keep][-MOST_DIRECTIONS:], vectors[:, keep]
            self.rotation = used.T @ (vectors[:, -MOST_DIRECTIONS:] * values.rsqrt())
        elif used.shape[1] > MOST_DIRECTIONS:
            self.rotation = torch.linalg.eigh(used.T @ used)[1][:, -MOST_DIRECTIONS:]
        self.rows = self._turn(features * self.scale)

    def _turn(self, rows: Tensor) -> Tensor:
        return rows if self.rotation is None else rows @ self.rotation

    def fold(self, rankings: Rankings) -> Fold:
        centred, weights, targets = normal_rows(self.rows, rankings)
        weighted = centred * weights.unsqueeze(1)
        return Fold(weighted.T @ centred, weighted.T @ targets, float(weights.sum()))

    def raw(self, weight: Tensor) -> Tensor:
        """Weights for the features as they came. (columns,) float64."""
        return (weight if self.rotation is None else self.rotation @ weight) * self.scale


def normal_rows(rows: Tensor, rankings: Rankings) -> tuple[Tensor, Tensor, Tensor]:
    """Rows centred within their ranking (n, f), their weights (n,), their targets (n,)."""
    sizes = torch.tensor([len(own) for own in rankings.rows], dtype=torch.int64)
    flat = torch.tensor([row for own in rankings.rows for row in own], dtype=torch.int64)
    owner = torch.repeat_interleave(torch.arange(len(rankings)), sizes)
    chosen = rows[flat]
    means = rows.new_zeros(len(rankings), rows.shape[1]).index_add_(0, owner, chosen)
    means = means / sizes.unsqueeze(1)
    per_ranking = 2 * torch.tensor(rankings.weights, dtype=rows.dtype) / (sizes - 1).clamp(min=1)
    targets = [
        sum(_asked(rankings, number, i, j) for j in range(len(ranks))) / len(ranks)
        for number, ranks in enumerate(rankings.ranks)
        for i in range(len(ranks))
    ]
    return (
        chosen - means[owner],
        per_ranking[owner],
        torch.tensor(targets, dtype=rows.dtype),
    )


def _asked(rankings: Rankings, number: int, i: int, j: int) -> float:
    """By how much row i of a ranking is to lie above its row j; below 0: below it."""
    own, other = rankings.ranks[number][i], rankings.ranks[number][j]
    if own == other:
        return 0.0
    if own < other:
        return 1 + rankings.lead(number, i, j)
    return -1 - rankings.lead(number, j, i)


def solve(parts: Sequence[Fold], ridge: float) -> Tensor:
    total = max(1e-12, sum(part.weight for part in parts))
    gram = torch.stack([part.gram for part in parts]).sum(0) / total
    moment = torch.stack([part.moment for part in parts]).sum(0) / total
    gram.diagonal().add_(ridge)
    factor = torch.linalg.cholesky(gram)
    return torch.cholesky_solve(moment.unsqueeze(1), factor).squeeze(1)
