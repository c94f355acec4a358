"""Krippendorff's alpha for ordinal data, with a bootstrap over slates.

A unit is one completion of a slate, a value the place that a labeler gave it (`Table.mid_ranks`).
The formula is that of Krippendorff, 'Computing Krippendorff's Alpha-Reliability' (2011), on
coincidence matrices, which add up over units: so a million of them take no memory, and a resample
is one sum. The library `krippendorff` takes all units at once and has no intervals; the tests hold
this against it and against the published examples.
"""

from __future__ import annotations

import numpy as np

from labeling.quality.resampling import Estimate, blocks_of, draws
from labeling.quality.table import Floats, Ints, Table


def alpha_of(coincidences: Floats) -> Floats:
    """Ordinal alpha of each matrix. (…, values, values) → (…,); nan where nothing varies.

    The distance of two values is the square of how many values lie from the middle of the one to
    the middle of the other.
    """
    counts = coincidences.sum(axis=-1)
    total = counts.sum(axis=-1)
    middles = counts.cumsum(axis=-1) - counts / 2
    distances = (middles[..., :, None] - middles[..., None, :]) ** 2
    observed = (coincidences * distances).sum(axis=(-1, -2))
    expected = (counts[..., :, None] * counts[..., None, :] * distances).sum(axis=(-1, -2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - (total - 1) * observed / expected)


def alpha(table: Table, one: Ints, other: Ints, weight: Floats) -> Estimate | None:
    """Alpha over pairs of rankings, each pair of values weighing `weight`; None without any.

    weight: 1/(m − 1) where a unit's m labelers are all looked at, 1 where two of them are.
    """
    here, theirs = table.mid_ranks[one], table.mid_ranks[other]
    there = (here > 0) & (theirs > 0)
    if not there.any():
        return None
    values, place = np.unique(np.stack([here[there], theirs[there]]), return_inverse=True)
    size = len(values)
    place = place.reshape(2, -1)
    block, blocks, slates = blocks_of(table.slate[one])
    of_pair = np.broadcast_to(block[:, None], there.shape)[there]
    weights = np.broadcast_to(weight[:, None], there.shape)[there]
    cells = (of_pair * size + place[0]) * size + place[1]
    by_block = np.bincount(cells, weights=weights, minlength=blocks * size * size)
    by_block = by_block.reshape(blocks, size, size)
    by_block = by_block + by_block.transpose(0, 2, 1)
    value = float(alpha_of(by_block.sum(axis=0)))
    if not np.isfinite(value):
        return None
    drawn = (draws(blocks) @ by_block.reshape(blocks, -1)).reshape(-1, size, size)
    resampled = alpha_of(drawn.astype(np.float64))
    resampled = resampled[np.isfinite(resampled)]
    enough = slates > 1 and len(resampled) > 1
    low, high = np.quantile(resampled, [0.025, 0.975]) if enough else (None, None)
    return Estimate(
        value=value,
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        error=float(resampled.std()) if enough else 0.0,
        count=int(there.sum()),
        slates=slates,
    )
