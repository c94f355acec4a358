"""Rankings of rows of a matrix, whatever the rows are. Knows nothing of texts or scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Rankings:
    """Rankings of rows of a feature matrix.

    rows[r]: which rows ranking r compares. ranks[r]: their ranks, 1 is best, ties equal.
    prompts[r]: its prompt. weights[r]: its label weight. groups[r]: the group of its prompt
    (`training.rlhf.groups`), with which it shares a fold; none given: each prompt is its own.
    """

    rows: Sequence[Sequence[int]]
    ranks: Sequence[Sequence[int]]
    prompts: Sequence[str]
    weights: Sequence[float]
    groups: Sequence[str] = ()
    labelers: Sequence[str] = ()
    """Who said it; empty: nobody knows."""
    categories: Sequence[str] = ()
    """Of the prompt; empty where it has none."""
    worth: Sequence[Sequence[float]] = ()
    """worth[r]: of each of its rows, in units of score; a row is to lie above a lower ranked
    one by their difference more, where that is above 0. Empty where nobody said."""

    def __post_init__(self) -> None:
        if not self.groups:
            object.__setattr__(self, "groups", self.prompts)
        for name, nothing in (("labelers", ""), ("categories", ""), ("worth", ())):
            if not getattr(self, name):
                object.__setattr__(self, name, [nothing] * len(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, chosen: Sequence[int]) -> Rankings:
        """Only the rankings with these numbers."""
        return Rankings(
            rows=[self.rows[index] for index in chosen],
            ranks=[self.ranks[index] for index in chosen],
            prompts=[self.prompts[index] for index in chosen],
            weights=[self.weights[index] for index in chosen],
            groups=[self.groups[index] for index in chosen],
            labelers=[self.labelers[index] for index in chosen],
            categories=[self.categories[index] for index in chosen],
            worth=[self.worth[index] for index in chosen],
        )

    @cached_property
    def untied(self) -> tuple[Tensor, Tensor, Tensor]:
        """For every untied pair the higher ranked row, the lower one, and the ranking's number.

        A row that stands in a ranking twice is in no pair with itself.
        """
        found = [
            (self.rows[number][i], self.rows[number][j], number) for number, i, j in self._ordered()
        ]
        table = torch.tensor(found, dtype=torch.int64).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2]

    def _ordered(self) -> Iterator[tuple[int, int, int]]:
        """The ranking's number and the places of two of its rows, the higher ranked one first."""
        for number, (rows, ranks) in enumerate(zip(self.rows, self.ranks, strict=True)):
            for i, j in product(range(len(rows)), repeat=2):
                if ranks[i] < ranks[j] and rows[i] != rows[j]:
                    yield number, i, j

    def lead(self, number: int, i: int, j: int) -> float:
        """By how much more its row i is to lie above its lower ranked row j, in units of score."""
        worth = self.worth[number]
        return max(0.0, worth[i] - worth[j]) if worth else 0.0

    def gaps(self) -> list[int]:
        """By how many ranks the rows of each untied pair are apart, in the order of `untied`."""
        return [self.ranks[number][j] - self.ranks[number][i] for number, i, j in self._ordered()]

    @cached_property
    def with_a_pair(self) -> list[int]:
        """The numbers of the rankings that teach something, ascending."""
        return sorted(set(self.untied[2].tolist()))

    @property
    def pairs(self) -> int:
        """Untied pairs in all rankings together."""
        return len(self.untied[0])

    @property
    def tied_pairs(self) -> int:
        """Pairs of equal rank in all rankings together."""
        pairs = sum(len(ranks) * (len(ranks) - 1) // 2 for ranks in self.ranks)
        return pairs - self.pairs - self.equal_rows_apart

    @property
    def equal_rows_apart(self) -> int:
        """Pairs of one row with itself that were ranked apart: they can't be learned."""
        return sum(
            ranks[i] != ranks[j] and rows[i] == rows[j]
            for rows, ranks in zip(self.rows, self.ranks, strict=True)
            for i in range(len(rows))
            for j in range(i)
        )

    @property
    def contradicted_pairs(self) -> int:
        """Pairs of rows that one ranking orders one way and another the other way."""
        high, low, _ = self.untied
        ordered = set(zip(high.tolist(), low.tolist(), strict=True))
        return sum((worse, better) in ordered for better, worse in ordered) // 2

    def differences(self, scores: Tensor) -> Tensor:
        """r_i − r_j over all untied pairs, i ranked above j. scores: (rows,). (pairs,)."""
        high, low, _ = self.untied
        return scores[high] - scores[low]
