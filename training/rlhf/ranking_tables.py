"""Rankings as batches: put together by whole prompts, and as rectangles for the losses.

Torch, but no model: what a completion's score is, is for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from training.rlhf.rankings import Rankings
from training.rlhf.room import at_once

COMPLETIONS = 32
"""Of a forward and backward pass, at most, but always whole prompts; fixed, so that a resumed run
adds up the same."""


class Table(NamedTuple):
    """Rankings as rectangles, padded to the largest K, for `losses.ranking_loss`."""

    places: Tensor
    """(rankings, K) int64: where each completion's score stands."""
    ranks: Tensor
    mask: Tensor
    weights: Tensor
    worth: Tensor
    """(rankings, K) float, all alike where nothing was said of it."""


def ranking_table(rankings: Rankings, rows: Sequence[int], device: torch.device) -> Table:
    """rows: which completions have a score, in the order of the scores."""
    place = {row: index for index, row in enumerate(rows)}
    size = (len(rankings), max(map(len, rankings.rows)))
    places, ranks = torch.zeros(size, dtype=torch.int64), torch.ones(size, dtype=torch.int64)
    mask, worth = torch.zeros(size, dtype=torch.bool), torch.zeros(size)
    for number, (own, order) in enumerate(zip(rankings.rows, rankings.ranks, strict=True)):
        places[number, : len(own)] = torch.tensor([place[row] for row in own])
        ranks[number, : len(own)] = torch.tensor(list(order))
        mask[number, : len(own)] = True
        if rankings.worth[number]:
            worth[number, : len(own)] = torch.tensor(list(rankings.worth[number]))
    weights = torch.tensor(rankings.weights)
    return Table(*(tensor.to(device) for tensor in (places, ranks, mask, weights, worth)))


def rows_of(rankings: Rankings) -> list[int]:
    """The completions that these rankings name, each once, in order."""
    return sorted({row for own in rankings.rows for row in own})


def weight_of(rankings: Rankings) -> float:
    """Label weight of the rankings that have an untied pair: the others have no loss."""
    return sum(rankings.weights[number] for number in rankings.with_a_pair)


def by_prompt(rankings: Rankings, chosen: Sequence[int] | None = None) -> list[list[int]]:
    """Numbers of rankings (of all, or of `chosen`), those of one prompt together."""
    groups: dict[str, list[int]] = {}
    for number in range(len(rankings)) if chosen is None else chosen:
        groups.setdefault(rankings.prompts[number], []).append(number)
    return list(groups.values())


def put_together(rankings: Rankings, groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """Groups of rankings put together as long as they name no more than COMPLETIONS."""
    parts: list[list[int]] = []
    size = most = at_once(COMPLETIONS)
    for group in groups:
        rows = len(rows_of(rankings.subset(group)))
        if not parts or size + rows > most:
            parts.append([])
            size = 0
        parts[-1].extend(group)
        size += rows
    return parts
