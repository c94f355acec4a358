"""All rankings of a project as arrays: read page by page, about 100 bytes a ranking.

Knows nothing of what is worked out from them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np
from django.utils import timezone
from numpy.typing import NDArray

from labeling.agreement import asked_of_all
from labeling.models import (
    Project,
    Purpose,
    RankedCompletion,
    Ranking,
    Slate,
    SlateCompletion,
)
from labeling.reading_speed import least_seconds

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
MOST = 9
"""Completions in a slate."""
PAGE = 500
"""Slates read at once."""
COMPARED = (Purpose.TRAINING, Purpose.EVALUATION)
READ = (*COMPARED, Purpose.GOLD)
NOBODY_SAW = 255


class Seen(NamedTuple):
    """One ranking as it was read."""

    slate: int
    labeler: int
    asked: bool
    category: str
    purpose: str
    week: int
    seconds: float
    right_share: float
    least_seconds: float
    ranks: list[int]
    places: list[int]
    lengths: list[int]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One row a ranking, in the order of their slates.

    labelers, categories, slates: what the numbers of these columns stand for. gold: of a gold item.
    training: of a training slate. asked: in a slot that every slate gets, see
    `labeling.agreement.asked_of_all`. week: the ordinal of its Monday. right_share: nan where
    no answer was known. least_seconds: below which nobody has read the completions. ranks:
    (rankings, 9), by canonical position, 0 where there is no completion. places: where each was
    shown, 0 first. lengths: in characters.
    """

    labelers: list[int]
    categories: list[str]
    slates: Ints
    slate: Ints
    labeler: Ints
    category: Ints
    gold: NDArray[np.bool_]
    training: NDArray[np.bool_]
    asked: NDArray[np.bool_]
    week: Ints
    seconds: Floats
    right_share: Floats
    least_seconds: Floats
    ranks: NDArray[np.uint8]
    places: NDArray[np.uint8]
    lengths: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.slate)

    @cached_property
    def mid_ranks(self) -> NDArray[np.uint8]:
        """Twice the mean place that a completion's rank stands for: 2, 4, 6, 8 where none ties.

        Of 1, 1, 1, 2 the last is 8, as in 1, 2, 3, 4: dense ranks would call it second.
        """
        there = self.ranks > 0
        mine, theirs = self.ranks[:, :, None], self.ranks[:, None, :]
        better = ((theirs < mine) & there[:, None, :]).sum(axis=2)
        equal = ((theirs == mine) & there[:, None, :]).sum(axis=2)
        return np.where(there, 2 * better + equal + 1, 0).astype(np.uint8)

    @cached_property
    def encounters(self) -> tuple[Ints, Ints]:
        """All pairs of rankings of one slate, as two lists of rows; gold items left out."""
        ones, others = [], []
        distance = 1
        while distance < len(self):
            same = self.slate[distance:] == self.slate[:-distance]
            if not same.any():
                break
            found = np.flatnonzero(same & ~self.gold[:-distance])
            ones.append(found)
            others.append(found + distance)
            distance += 1
        if not ones:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate(ones), np.concatenate(others)


def read_table(project: Project, *, up_to: int) -> Table:
    """The current rankings of `project` up to that id, of training, evaluation and gold slates."""
    columns = _Columns()
    for page in _pages(project, up_to):
        columns.add(page)
    return columns.table()


class _Columns:
    """Rows as they come, kept as arrays."""

    def __init__(self) -> None:
        self.slates: dict[int, int] = {}
        self.labelers: dict[int, int] = {}
        self.categories: dict[str, int] = {}
        self.numbers: list[NDArray[np.int32]] = []
        self.measures: list[Floats] = []
        self.positions: list[NDArray[np.int32]] = []

    def add(self, rows: Sequence[Seen]) -> None:
        """Keep a page."""
        if not rows:
            return
        self.numbers.append(
            np.array(
                [
                    (
                        self.slates.setdefault(row.slate, len(self.slates)),
                        self.labelers.setdefault(row.labeler, len(self.labelers)),
                        self.categories.setdefault(row.category, len(self.categories)),
                        row.purpose == Purpose.GOLD,
                        row.purpose == Purpose.TRAINING,
                        row.week,
                        row.asked,
                    )
                    for row in rows
                ],
                dtype=np.int32,
            )
        )
        self.measures.append(
            np.array([(row.seconds, row.right_share, row.least_seconds) for row in rows])
        )
        self.positions.append(
            np.array([(row.ranks, row.places, row.lengths) for row in rows], dtype=np.int32)
        )

    def table(self) -> Table:
        """All of it."""
        numbers = np.concatenate([np.zeros((0, 7), np.int32), *self.numbers]).astype(np.int64)
        measures = np.concatenate([np.zeros((0, 3)), *self.measures])
        positions = np.concatenate([np.zeros((0, 3, MOST), np.int32), *self.positions])
        return Table(
            labelers=list(self.labelers),
            categories=list(self.categories),
            slates=np.array(list(self.slates), dtype=np.int64),
            slate=numbers[:, 0],
            labeler=numbers[:, 1],
            category=numbers[:, 2],
            gold=numbers[:, 3] > 0,
            training=numbers[:, 4] > 0,
            asked=numbers[:, 6] > 0,
            week=numbers[:, 5],
            seconds=measures[:, 0],
            right_share=measures[:, 1],
            least_seconds=measures[:, 2],
            ranks=positions[:, 0].astype(np.uint8),
            places=positions[:, 1].astype(np.uint8),
            lengths=positions[:, 2].astype(np.int32),
        )


def _pages(project: Project, up_to: int) -> Iterator[list[Seen]]:
    """The rankings of PAGE slates at a time, by five queries each."""
    slates = Slate.objects.filter(project=project, purpose__in=READ, withdrawn_at=None)
    after = 0
    while page := list(slates.filter(pk__gt=after).order_by("pk").values_list("pk")[:PAGE]):
        ids = [pk for (pk,) in page]
        yield _read(project, ids, up_to)
        after = ids[-1]


def _read(project: Project, slates: Sequence[int], up_to: int) -> list[Seen]:
    """The rankings of these slates."""
    rankings = Ranking.objects.current().filter(slate__in=slates, pk__lte=up_to)
    asked = set(rankings.filter(asked_of_all(project)).values_list("pk", flat=True))
    rows = rankings.order_by("slate_id", "pk").values_list(
        "pk",
        "slate_id",
        "labeler_id",
        "assignment__category",
        "slate__purpose",
        "created_at",
        "seconds",
        "right_share",
        "assignment__order",
    )
    items: dict[int, dict[int, tuple[int, int, float]]] = defaultdict(dict)
    shown = SlateCompletion.objects.filter(slate__in=slates).values_list(
        "slate_id", "completion_id", "position", "completion__text"
    )
    for slate, completion, position, text in shown.iterator():
        items[slate][completion] = (position, len(text), least_seconds(text))
    ranked: dict[int, list[tuple[int, int]]] = defaultdict(list)
    ranks = RankedCompletion.objects.filter(
        ranking__slate__in=slates, ranking__is_current=True, ranking__lte=up_to
    )
    for ranking, completion, rank in ranks.values_list("ranking_id", "completion_id", "rank"):
        ranked[ranking].append((completion, rank))
    found = []
    for pk, slate, labeler, category, purpose, moment, seconds, right, order in rows:
        ranks_by_position, lengths, least = [0] * MOST, [0] * MOST, 0.0
        for completion, rank in ranked[pk]:
            if completion in items[slate]:  # a better version that the labeler wrote is in no slate
                position, length, seconds_to_read = items[slate][completion]
                ranks_by_position[position], lengths[position] = rank, length
                least += seconds_to_read
        day = timezone.localtime(moment).date()
        found.append(
            Seen(
                slate=slate,
                labeler=labeler,
                asked=pk in asked,
                category=category,
                purpose=purpose,
                week=(day - timedelta(days=day.weekday())).toordinal(),
                seconds=seconds,
                right_share=float("nan") if right is None else right,
                least_seconds=least,
                ranks=ranks_by_position,
                places=_places(order),
                lengths=lengths,
            )
        )
    return found


def _places(order: str) -> list[int]:
    """ "2031" → where each canonical position was shown: [1, 3, 0, 2]."""
    places = [NOBODY_SAW] * MOST
    for place, position in enumerate(order):
        places[int(position)] = place
    return places
