"""What a probe says of people's rankings when it has learned nothing from these people.

InstructGPT's reward models predict held-out labelers (section 4.1): five groups of labelers, each
judged by a model of the other four. Features and rankings in, scores out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import torch
from torch import Tensor

from training.rlhf.least_squares import Basis, solve
from training.rlhf.probe import fold_numbers
from training.rlhf.rankings import Rankings

LABELER_FOLDS = 5


def scores_across_labelers(
    features: Tensor,
    rankings: Rankings,
    columns: Sequence[int],
    *,
    ridge: float,
    freedom: Tensor,
    folds: int,
    seed: int,
) -> tuple[Tensor, Rankings] | None:
    """Scores of every ranking by a fit without its labeler's group and without its prompt's group.

    features: (rows, f). columns, ridge, freedom: as the fit has them that is to be judged. folds:
    of prompts. Returned are the scores, one for each completion of each ranking, and the rankings
    with rows of their own: two people's rankings of one completion are scored by different fits.
    None where fewer than two people, or fewer groups than folds, have ranked.
    """
    people = len({*rankings.labelers})
    if people < 2 or len(set(rankings.groups)) < folds:  # others are needed
        return None
    chosen = torch.tensor(list(columns))
    basis = Basis(features[:, chosen].double(), rankings, freedom[chosen].double())
    of_people = fold_numbers(rankings.labelers, min(LABELER_FOLDS, people), seed)
    of_prompts = fold_numbers(rankings.groups, folds, seed)
    starts = [0, *accumulate(map(len, rankings.rows))]
    scores = torch.zeros(starts[-1], dtype=torch.float64)
    for left_out in range(max(of_people) + 1):
        others = [n for n, fold in enumerate(of_people) if fold != left_out]
        parts = [
            basis.fold(rankings.subset([n for n in others if of_prompts[n] == fold]))
            for fold in range(folds)
        ]
        for fold in range(folds):
            judged = [
                n for n in range(len(rankings)) if (of_people[n], of_prompts[n]) == (left_out, fold)
            ]
            if judged:
                fit = solve([part for place, part in enumerate(parts) if place != fold], ridge)
                for n in judged:
                    scores[starts[n] : starts[n + 1]] = basis.rows[list(rankings.rows[n])] @ fit
    # A text that a ranking names twice stays one row: it is in no pair with itself.
    apart = [
        [start + list(own).index(row) for row in own]
        for start, own in zip(starts, rankings.rows, strict=False)
    ]
    return scores, replace(rankings, rows=apart)
