"""What two labelers say of the same pairs of completions, one row for each two rankings of a slate.

A pair counts where both order it. Beside it stands chance: how often two people would agree who
don't read, and order each pair at random with no more than their own leaning to what is shown
first. Orders are shuffled for each labeler, so that it is one half, unless such people see a pair
the same way round. Leaving ties out, how often each of them ties does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from labeling.quality.table import MOST, Floats, Ints, Table


@dataclass(frozen=True, kw_only=True)
class Encounters:
    """Columns, a row for each two rankings of a slate.

    one, other: rows of the table. agreed of total: pairs that both order, and alike. chance: of
    these, how many would agree by chance. apart: the share of all pairs on which they differ, a
    tie against an order counting one half. longer_one, longer_other of uneven: pairs of unequal
    length that both order, and in how many of them each puts the longer one first.
    """

    one: Ints
    other: Ints
    slate: Ints
    total: Floats
    agreed: Floats
    chance: Floats
    apart: Floats
    uneven: Floats
    longer_one: Floats
    longer_other: Floats

    def __len__(self) -> int:
        return len(self.one)

    def among(self, rows: NDArray[np.bool_]) -> Encounters:
        """Those of two rankings that are both among these rows of the table."""
        kept = rows[self.one] & rows[self.other]
        return Encounters(**{name: column[kept] for name, column in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Leanings:
    """Of each ranking: pairs that it orders; in how many the one shown first, or the longer, won.

    longer is counted over `uneven`, the pairs of unequal length.
    """

    untied: Floats
    first: Floats
    uneven: Floats
    longer: Floats


def leanings(table: Table) -> Leanings:
    """What won in each ranking, by where it was shown and by how long it is."""
    found = {name: np.zeros(len(table)) for name in ("untied", "first", "uneven", "longer")}
    ranks, places, lengths = table.ranks.astype(int), table.places.astype(int), table.lengths
    for i, j in combinations(range(MOST), 2):
        there = (ranks[:, i] > 0) & (ranks[:, j] > 0)
        if not there.any():
            continue
        untied = there & (ranks[:, i] != ranks[:, j])
        i_won = ranks[:, i] < ranks[:, j]
        found["untied"] += untied
        found["first"] += untied & (i_won == (places[:, i] < places[:, j]))
        uneven = untied & (lengths[:, i] != lengths[:, j])
        found["uneven"] += uneven
        found["longer"] += uneven & (i_won == (lengths[:, i] > lengths[:, j]))
    return Leanings(**found)


def encounters(table: Table, leaning: Leanings) -> Encounters:
    """Each two rankings of a slate, compared pair by pair."""
    one, other = table.encounters
    first = _first_shares(table, leaning)
    alike = first[table.labeler[one]] * first[table.labeler[other]]
    alike += (1 - first[table.labeler[one]]) * (1 - first[table.labeler[other]])
    names = ("total", "agreed", "chance", "apart", "uneven", "longer_one", "longer_other")
    found = {name: np.zeros(len(one)) for name in names}
    everything = np.zeros(len(one))
    for i, j in combinations(range(MOST), 2):
        there = (table.ranks[one, i] > 0) & (table.ranks[one, j] > 0)
        if not there.any():
            continue
        here, theirs = _order(table, one, i, j), _order(table, other, i, j)
        both = there & (here != 0) & (theirs != 0)
        agreed = both & (here == theirs)
        found["total"] += both
        found["agreed"] += agreed
        found["apart"] += there * np.abs(here - theirs) / 2
        everything += there
        same_way = _shown(table, one, i, j) == _shown(table, other, i, j)
        found["chance"] += both * np.where(same_way, alike, 1 - alike)
        gap = table.lengths[one, i] - table.lengths[one, j]
        uneven = both & (gap != 0)
        found["uneven"] += uneven
        found["longer_one"] += uneven & ((gap > 0) == (here > 0))
        found["longer_other"] += uneven & ((gap > 0) == (theirs > 0))
    found["apart"] /= np.maximum(everything, 1)
    return Encounters(one=one, other=other, slate=table.slate[one], **found)


def _order(table: Table, rows: Ints, i: int, j: int) -> Ints:
    """1 where i is ranked above j, −1 below, 0 tied."""
    gap = table.ranks[rows, j].astype(np.int64) - table.ranks[rows, i]
    return np.asarray(np.sign(gap))


def _shown(table: Table, rows: Ints, i: int, j: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether i was shown before j."""
    return np.asarray(table.places[rows, i] < table.places[rows, j])


def _first_shares(table: Table, leaning: Leanings) -> Floats:
    """Of each labeler: in what share of the pairs that they order the one shown first won."""
    count = len(table.labelers)
    won = np.bincount(table.labeler, weights=leaning.first, minlength=count)
    of = np.bincount(table.labeler, weights=leaning.untied, minlength=count)
    return np.asarray(np.where(of > 0, won / np.maximum(of, 1), 0.5))
