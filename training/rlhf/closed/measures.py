"""From the scores of items to figures of a task with bootstrap intervals over its items.

All policies are resampled alike, so that differences are of the same items. Arrays in, numbers out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.records import AnswerRow
from training.rlhf.bootstrap import Interval
from training.rlhf.closed.tasks import Rule, Task
from training.rlhf.randomness import philox

Array = NDArray[np.float64]
Chosen = NDArray[np.int64]

MEASURES: dict[Rule, tuple[str, ...]] = {
    "choice": ("accuracy", "macro_f1", "likelihood", "likelihood_per_byte", "named_share"),
    "exact": ("f1", "exact_match"),
    "rouge": ("rouge1", "rouge2", "rouge_l"),
    "text": ("perplexity",),
}
"""By rule, in the order of the table."""

MAIN: dict[Rule, str] = {"choice": "accuracy", "exact": "f1", "rouge": "rouge_l"}
"""What of a task goes into the mean over tasks."""

LOWER_IS_BETTER = frozenset(("perplexity",))
MEAN = "mean"
"""The row over all tasks: the mean of each task's main measure, items resampled within each."""


@dataclass(frozen=True)
class Figure:
    """One measure of one task by one policy: its value and its bootstrap draws (draws,)."""

    task: str
    measure: str
    policy: str
    value: float
    draws: Array

    def interval(self, alpha: float) -> Interval:
        """The value with its 1 − alpha percentile interval."""
        return _interval(self.value, self.draws, alpha)

    def over(self, other: Figure, alpha: float) -> Interval:
        """How far this is above another policy's figure, items paired."""
        return _interval(self.value - other.value, self.draws - other.draws, alpha)


def figures(
    tasks: Sequence[Task],
    rows: Sequence[AnswerRow],
    policies: Sequence[str],
    *,
    draws: int,
    seed: int,
) -> list[Figure]:
    """All figures: task by task, measure by measure, policy by policy; the mean over tasks last."""
    found: list[Figure] = []
    for task in tasks:
        by_key = {(row["policy"], row["id"]): row for row in rows if row["task"] == task.name}
        n = len(task.items)
        chosen = philox(seed, "closed", task.name).integers(0, n, (draws, n))
        columns = {
            policy: _columns([by_key[policy, item.id] for item in task.items])
            for policy in policies
        }
        for measure in MEASURES[task.rule]:
            if measure == "macro_f1" and not task.classes:
                continue
            statistic = _statistic(measure, len(task.classes))
            for policy in policies:
                value = float(statistic(columns[policy], np.arange(n)[None, :])[0])
                drawn = statistic(columns[policy], chosen)
                found.append(Figure(task.name, measure, policy, value, drawn))
    return found + _means(tasks, found, policies)


def _columns(rows: Sequence[AnswerRow]) -> dict[str, Array]:
    """The scores of items by name, (n,) each; nan where there is none."""
    names = rows[0]["scores"]
    return {
        name: np.array([row["scores"][name] for row in rows], dtype=np.float64) for name in names
    }


def _statistic(measure: str, classes: int) -> Callable[[Mapping[str, Array], Chosen], Array]:
    """What makes figures (draws,) of the items' scores and of the items chosen, (draws, n)."""

    def mean(columns: Mapping[str, Array], chosen: Chosen) -> Array:
        return _row_means(columns[measure][chosen])

    def named_share(columns: Mapping[str, Array], chosen: Chosen) -> Array:
        return _row_means(np.isfinite(columns["named"])[chosen].astype(np.float64))

    def perplexity(columns: Mapping[str, Array], chosen: Chosen) -> Array:
        nats, tokens = columns["nats"][chosen].sum(1), columns["tokens"][chosen].sum(1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.asarray(np.exp(nats / tokens), dtype=np.float64)

    def macro(columns: Mapping[str, Array], chosen: Chosen) -> Array:
        return macro_f1(columns["named"][chosen], columns["right"][chosen], classes)

    own = {"named_share": named_share, "perplexity": perplexity, "macro_f1": macro}
    return own.get(measure, mean)


def macro_f1(named: Array, right: Array, classes: int) -> Array:
    """The mean over classes of F1 = 2·TP / (2·TP + FP + FN). named, right: (draws, n) → (draws,).

    named: nan where no class was named: a miss of the right one. A class that is neither right nor
    named anywhere in a draw is left out of that draw.
    """
    scores = np.full((classes, len(named)), np.nan)
    for number in range(classes):
        hits = ((named == number) & (right == number)).sum(1)
        total = (named == number).sum(1) + (right == number).sum(1)
        scores[number] = np.where(total > 0, 2 * hits / np.maximum(total, 1), np.nan)
    return np.asarray(np.nanmean(scores, axis=0), dtype=np.float64)


def _means(tasks: Sequence[Task], found: Sequence[Figure], policies: Sequence[str]) -> list[Figure]:
    """The mean over tasks of their main measures, of each policy; none where one task has one."""
    main = {(task.name, MAIN[task.rule]) for task in tasks if task.rule in MAIN}
    if len(main) < 2:
        return []
    means = []
    for policy in policies:
        own = [
            figure
            for figure in found
            if figure.policy == policy and (figure.task, figure.measure) in main
        ]
        value = float(np.mean([figure.value for figure in own]))
        draws = np.mean([figure.draws for figure in own], axis=0)
        means.append(Figure(MEAN, "score", policy, value, draws))
    return means


def _row_means(values: Array) -> Array:
    return np.asarray(values.mean(axis=1), dtype=np.float64)


def _interval(value: float, draws: Array, alpha: float) -> Interval:
    """Draws that say nothing, all of whose texts are too short, are left out; nan without any."""
    telling = draws[np.isfinite(draws)]
    if not len(telling):
        return Interval(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(telling, [alpha / 2, 1 - alpha / 2])
    return Interval(value, float(low), float(high))
