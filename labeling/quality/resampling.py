"""Shares with their intervals, by a bootstrap over slates: pairs of one slate hang together.

Numbers in, numbers out; the same each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from labeling.quality.table import Floats, Ints

RESAMPLES = 1000
BLOCKS = 200
"""Slates are drawn one by one up to this many, in equal groups beyond: constant cost."""
Z95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with a 95 % interval, its standard error, and what it rests on."""

    value: float
    low: float | None = None
    high: float | None = None
    error: float = 0.0
    count: int = 0
    slates: int = 0
    reference: float | None = None
    """What it is measured by, where that is known already."""


@lru_cache(maxsize=32)
def draws(blocks: int) -> NDArray[np.float32]:
    """(RESAMPLES, blocks): how often each block is drawn, in as many draws as there are blocks."""
    chance = np.random.default_rng([0, blocks])
    return chance.multinomial(blocks, np.full(blocks, 1 / blocks), size=RESAMPLES).astype(
        np.float32
    )


def blocks_of(slate: Ints) -> tuple[Ints, int, int]:
    """For each row, the number of its block; how many blocks there are, and how many slates."""
    kinds, place = np.unique(slate, return_inverse=True)
    order = np.random.default_rng([1, len(kinds)]).permutation(len(kinds))
    blocks = min(BLOCKS, len(kinds))
    return order[place] % max(blocks, 1), blocks, len(kinds)


def share(top: Floats, bottom: Floats, slate: Ints) -> Estimate | None:
    """Σ top / Σ bottom over rows that hang together by slate; None where there is nothing."""
    known = bottom > 0
    if not known.any():
        return None
    top, bottom, slate = top[known], bottom[known], slate[known]
    block, blocks, slates = blocks_of(slate)
    tops = np.bincount(block, weights=top, minlength=blocks)
    bottoms = np.bincount(block, weights=bottom, minlength=blocks)
    drawn = draws(blocks)
    rates = (drawn @ tops) / (drawn @ bottoms)
    value = float(top.sum() / bottom.sum())
    low, high = np.quantile(rates, [0.025, 0.975])
    error = float(rates.std())
    if error == 0.0:  # all alike, as where there is one slate: what so few slates can tell
        low, high = wilson(value, slates)
    return Estimate(
        value=value,
        low=float(low),
        high=float(high),
        error=error,
        count=round(float(bottom.sum())),
        slates=slates,
    )


def difference(ours: Floats, theirs: Floats, bottom: Floats, slate: Ints) -> tuple[float, float]:
    """(Σ ours − Σ theirs) / Σ bottom, rows hanging together by slate, and its standard error."""
    block, blocks, _slates = blocks_of(slate)
    gaps = np.bincount(block, weights=ours - theirs, minlength=blocks)
    bottoms = np.bincount(block, weights=bottom, minlength=blocks)
    drawn = draws(blocks)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = (drawn @ gaps) / (drawn @ bottoms)
    return float((ours - theirs).sum() / bottom.sum()), float(np.nanstd(rates))


def wilson(share_: float, count: int) -> tuple[float, float]:
    """Wilson's interval of a share of `count` independent trials (1927)."""
    middle = (share_ + Z95**2 / (2 * count)) / (1 + Z95**2 / count)
    half = Z95 * sqrt(share_ * (1 - share_) / count + Z95**2 / (4 * count**2))
    half /= 1 + Z95**2 / count
    return max(0.0, middle - half), min(1.0, middle + half)
