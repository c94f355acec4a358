"""Intervals by resampling prompts, so that samples of one prompt are not taken for independent.

Arrays in, numbers out; knows nothing of models. Deterministic for a seed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

TAIL = 40
"""Draws for each 1/α, so that about twenty lie beyond either bound: the tenth look's α is .0005, of
which two thousand draws say nothing."""
MOST_DRAWS = 2_000_000
"""Enough for the fiftieth look; the bounds of later ones are the extremes of so many."""
CHUNK_NUMBERS = 1_000_000


class Interval(NamedTuple):
    """A ratio with a percentile bootstrap interval (Efron & Tibshirani 1993, section 13.3)."""

    value: float
    low: float
    high: float


def ratio_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    *,
    draws: int,
    seed: int,
    alpha: float = 0.05,
) -> Interval:
    """Σ numerators / Σ denominators with its 1 − alpha interval, resampling whole prompts.

    numerators, denominators: (prompts,), for a win rate the wins and the comparisons of each
    prompt. Without a single comparison all three are nan: there is nothing to say. draws: at least;
    a small alpha takes more (TAIL).

    Prompts with the same two numbers are interchangeable, so how often each pair of numbers is
    drawn is drawn at once, from the multinomial distribution.
    """
    pairs = np.stack([np.asarray(numerators), np.asarray(denominators)], axis=1).astype(np.float64)
    pairs = pairs[pairs[:, 1] > 0]
    if not len(pairs):
        return Interval(float("nan"), float("nan"), float("nan"))
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    draws = min(max(draws, math.ceil(TAIL / alpha)), MOST_DRAWS)
    random = np.random.default_rng([seed, len(pairs), draws])
    size = max(1, CHUNK_NUMBERS // len(kinds))
    sums = np.concatenate(
        [
            random.multinomial(len(pairs), counts / len(pairs), min(size, draws - start)) @ kinds
            for start in range(0, draws, size)
        ]
    )
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [alpha / 2, 1 - alpha / 2])
    return Interval(float(pairs[:, 0].sum() / pairs[:, 1].sum()), float(low), float(high))


def look_alpha(alpha: float, look: int) -> float:
    """Error allowed at the k-th look of a project, α/(k(k+1)): over all looks it sums to α."""
    return alpha / (look * (look + 1))


def wins(ours: ArrayLike, theirs: ArrayLike) -> NDArray[np.float64]:
    """1 where ours is above theirs, one half where equal, 0 below. (n,) each, (n,) float."""
    first, second = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    return np.where(first == second, 0.5, np.where(first > second, 1.0, 0.0))


def best_of_wins(rewards: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """How often the best of n samples by `rewards` beats one more sample, by `scores`.

    Both (prompts, n + 1), n + 1 samples of one policy for each prompt → (prompts,), ties one half.
    Each of the n + 1 is in turn the one more, which the best of the other n is compared with: the
    same expectation as that of a single comparison, with much less noise. One half where rewards
    tell nothing of scores.
    """
    liked, judged = np.asarray(rewards, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    order = np.argsort(-liked, axis=1, kind="stable")
    best, second = order[:, :1], order[:, 1:2]
    more = np.arange(liked.shape[1])[None, :]
    chosen = np.where(more == best, second, best)
    won = wins(np.take_along_axis(judged, chosen, axis=1), judged)
    return np.asarray(won.mean(axis=1), dtype=np.float64)
