"""A win rate from people's comparisons, with an interval that a handful of votes can't narrow.

Numbers in, numbers out; knows nothing of policies.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

DRAWS = 2000
HALVINGS = 40


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """How often the candidate won, ties one half, with the interval of its mean over prompts."""

    rate: float
    low: float
    high: float
    prompts: int
    comparisons: int


def win_rate(outcomes: Sequence[Sequence[float]], *, alpha: float, seed: int) -> WinRate | None:
    """Share won over all comparisons, with its 1 − alpha interval. None without any.

    outcomes: for each group of prompts its comparisons, 1 won, 0.5 tied, 0 lost. The interval is a
    percentile bootstrap over them, and at least as wide as the exact one: few votes that all say
    the same give a bootstrap nothing to vary, and four of four would be beyond doubt.
    """
    sums = [(sum(each), len(each)) for each in outcomes if each]
    if not sums:
        return None
    comparisons = sum(count for _won, count in sums)
    rate = sum(won for won, _count in sums) / comparisons
    draw = random.Random(seed)  # noqa: S311  # a bootstrap, reproducible by its seed
    means = sorted(_mean(draw.choices(sums, k=len(sums))) for _ in range(DRAWS))
    least, most = exact_interval(
        sum(won / count for won, count in sums), trials=len(sums), alpha=alpha
    )
    return WinRate(
        rate=rate,
        low=min(least, means[int(alpha / 2 * (DRAWS - 1))]),
        high=max(most, means[round((1 - alpha / 2) * (DRAWS - 1))]),
        prompts=len(sums),
        comparisons=comparisons,
    )


def exact_interval(won: float, *, trials: int, alpha: float) -> tuple[float, float]:
    """Shares that `won` of `trials` do not contradict (Clopper & Pearson 1934).

    A won that is no whole number, by ties, is rounded away from the bound: the interval is wider.
    """
    fewest, most = math.floor(won), math.ceil(won)
    low = 0.0 if fewest == 0 else _share(lambda p: at_least(fewest, trials, p) < alpha / 2)
    high = (
        1.0 if most == trials else _share(lambda p: 1 - at_least(most + 1, trials, p) > alpha / 2)
    )
    return low, high


def at_least(won: int, trials: int, share: float) -> float:
    """P(X ≥ won) for X binomial with `trials` and 0 < share < 1."""
    chances = (
        math.lgamma(trials + 1)
        - math.lgamma(k + 1)
        - math.lgamma(trials - k + 1)
        + k * math.log(share)
        + (trials - k) * math.log1p(-share)
        for k in range(won, trials + 1)
    )
    return math.fsum(math.exp(chance) for chance in chances)


def _share(is_below: Callable[[float], bool]) -> float:
    """Where `is_below` stops to hold between 0 and 1, found by halving."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def _mean(sums: Sequence[tuple[float, int]]) -> float:
    return sum(won for won, _count in sums) / sum(count for _won, count in sums)
