"""Figures as a table for people and as numbers of result.json. Knows nothing of how they came."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from training.rlhf.bootstrap import Interval
from training.rlhf.closed.measures import LOWER_IS_BETTER, Figure
from training.rlhf.rundir import ResultMetrics

BETTER, WORSE = "▲", "▼"
"""Stand behind a difference whose interval leaves out 0."""


def draw_table(figures: Sequence[Figure], policies: Sequence[str], alpha: float) -> str:
    """Markdown: a row for each measure, a column for each policy and for each step between two."""
    steps = list(pairwise(policies))
    if len(policies) > 2:
        steps.append((policies[0], policies[-1]))
    head = ["task", "measure", *policies, *(f"{later} − {before}" for before, later in steps)]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "---|" * (len(head) - 2)]
    for start in range(0, len(figures), len(policies)):
        own = {figure.policy: figure for figure in figures[start : start + len(policies)]}
        first = own[policies[0]]
        cells = [first.task, first.measure.replace("_", " ")]
        cells += [_cell(own[policy].interval(alpha)) for policy in policies]
        for before, later in steps:
            interval = own[later].over(own[before], alpha)
            cells.append(_cell(interval, signed=True) + _mark(interval, first.measure))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def to_metrics(figures: Sequence[Figure], policies: Sequence[str], alpha: float) -> ResultMetrics:
    """<task>.<measure>.<policy> and its .low and .high; and .over.<policy before> with its bounds.

    None where a figure is not finite: JSON has no word for it.
    """
    found: ResultMetrics = {}
    for start in range(0, len(figures), len(policies)):
        own = {figure.policy: figure for figure in figures[start : start + len(policies)]}
        for place, policy in enumerate(policies):
            figure = own[policy]
            name = f"{figure.task}.{figure.measure}.{policy}"
            found |= _named(name, figure.interval(alpha))
            for before in policies[:place]:
                found |= _named(f"{name}.over.{before}", figure.over(own[before], alpha))
    return found


def _named(name: str, interval: Interval) -> ResultMetrics:
    values = {name: interval.value, f"{name}.low": interval.low, f"{name}.high": interval.high}
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def _cell(interval: Interval, *, signed: bool = False) -> str:
    digits = 3 if max(map(abs, interval)) < 10 else 1
    sign = "+" if signed else ""
    value, low, high = (f"{number:{sign}.{digits}f}" for number in interval)
    return f"{value} [{low}, {high}]".replace("-", "−")


def _mark(interval: Interval, measure: str) -> str:
    if interval.low <= 0 <= interval.high or not math.isfinite(interval.value):
        return ""
    return f" {BETTER if (interval.low > 0) != (measure in LOWER_IS_BETTER) else WORSE}"
