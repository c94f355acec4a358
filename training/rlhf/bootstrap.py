"""Intervals by resampling prompts, so that samples of one prompt are not taken for independent.

Arrays in, numbers out; knows nothing of models. Deterministic for a seed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
    prompt. Without a single comparison all three are nan: there is nothing to say.
    """
    top = np.asarray(numerators, dtype=np.float64)
    bottom = np.asarray(denominators, dtype=np.float64)
    top, bottom = top[bottom > 0], bottom[bottom > 0]
    if not len(top):
        return Interval(float("nan"), float("nan"), float("nan"))
    random = np.random.default_rng([seed, len(top), draws])
    ratios = np.empty(draws)
    for index in range(draws):
        chosen = random.integers(0, len(top), len(top))
        ratios[index] = top[chosen].sum() / bottom[chosen].sum()
    low, high = np.quantile(ratios, [alpha / 2, 1 - alpha / 2])
    return Interval(float(top.sum() / bottom.sum()), float(low), float(high))


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
