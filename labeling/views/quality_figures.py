"""The figures of a report in the shapes that the quality page draws: rows, a heat table, lines.

Knows nothing of requests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from labeling.models import QualityFigure, QualityReport, User
from labeling.views.drawing import Dot
from labeling.views.quality_words import PERCENT, SHOWN, Shown, between, said, sentence

Measure = QualityFigure.Measure
Named = Callable[[User], str]
MOST_IN_HEAT = 30
"""Labelers in the heat table: those who share most pairs."""
HEATS = 8
"""Steps of its colours, from one half to all."""
LINE_WIDTH, LINE_HEIGHT = 120.0, 24.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """A labeler or a category in the picture of one measure."""

    name: str
    dot: Dot
    value: str
    interval: str
    usual: str
    count: int
    stands_out: bool
    sort_value: float
    line: str = ""
    """Points of a small line over the weeks; empty where there are fewer than two."""
    weeks: str = ""
    """The same in words."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What two labelers say of the same pairs. heat: 0 to HEATS, empty: too few pairs."""

    value: str = ""
    heat: str = ""
    told: str = ""


@dataclass(frozen=True, kw_only=True)
class Category:
    """A category, or the whole project (`name` is empty)."""

    name: str
    values: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Noticed:
    """A labeler of whom something stands out, and what."""

    name: str
    labeler: int
    sentences: list[str]


class Figures:
    """All figures of a report, read with one query. named: how a labeler is called."""

    def __init__(self, report: QualityReport, named: Named) -> None:
        self.named = named
        rows = report.figures.select_related("labeler", "other").order_by("pk")
        self.all = list(rows)
        self.whole = {
            one.measure: one for one in self.all if not (one.labeler_id or one.category or one.week)
        }

    def of_labelers(self, measure: str) -> list[QualityFigure]:
        """One figure for each labeler that has it."""
        return [
            one
            for one in self.all
            if one.measure == measure and one.labeler_id and not (one.other_id or one.week)
        ]

    def measures(self) -> list[Shown]:
        """What there is to look at."""
        there = {one.measure for one in self.all if one.labeler_id and not one.week}
        return [shown for shown in SHOWN.values() if shown.measure in there]

    def noticed(self) -> list[Noticed]:
        """What stands out, by labeler."""
        found: dict[int, list[QualityFigure]] = defaultdict(list)
        for one in self.all:
            if one.stands_out and one.labeler_id is not None:
                found[one.labeler_id].append(one)
        return sorted(
            (
                Noticed(
                    name=self.named(_labeler(own[0])),
                    labeler=labeler,
                    sentences=[sentence(one) for one in own],
                )
                for labeler, own in found.items()
            ),
            key=lambda one: one.name,
        )

    def rows(self, measure: str) -> list[Row]:
        """The picture of one measure, a row a labeler."""
        shown = SHOWN[measure]
        lows = {one.labeler_id: one.value for one in self.of_labelers(Measure.SECONDS_P10)}
        highs = {one.labeler_id: one.value for one in self.of_labelers(Measure.SECONDS_P90)}
        in_seconds = measure == Measure.SECONDS_P50
        end = max(highs.values(), default=1.0) * 1.05 if in_seconds else shown.end
        weeks = self._weeks(measure)
        found = []
        for one in self.of_labelers(measure):
            low = lows.get(one.labeler_id) if in_seconds else one.low
            high = highs.get(one.labeler_id) if in_seconds else one.high
            name = self.named(_labeler(one))
            usual = shown.reference if one.reference is None else one.reference
            dot = Dot(
                label=name,
                value=one.value,
                low=low,
                high=high,
                start=shown.start,
                end=end,
                reference=usual,
                hue="labelers" if one.stands_out else "plain",
            )
            own = weeks.get(one.labeler_id or 0, [])
            found.append(
                Row(
                    name=name,
                    dot=dot,
                    value=said(one.value, shown.unit),
                    interval=between(low, high, shown.unit),
                    usual="" if one.reference is None else said(one.reference, shown.unit),
                    count=one.count,
                    stands_out=one.stands_out,
                    sort_value=one.value,
                    line=line(own),
                    weeks=in_words(own),
                )
            )
        return found

    def _weeks(self, measure: str) -> dict[int, list[tuple[date, float]]]:
        """By labeler (0: the project): the measure's value in each week, the oldest first."""
        found: dict[int, list[tuple[date, float]]] = defaultdict(list)
        for one in self.all:
            if one.measure == measure and one.week is not None and not one.category:
                found[one.labeler_id or 0].append((one.week, one.value))
        return {labeler: sorted(own) for labeler, own in found.items()}

    def over_weeks(self, measure: str) -> list[tuple[date, float]]:
        """The project's value in each week."""
        return self._weeks(measure).get(0, [])

    def categories(self) -> list[Category]:
        """The categories with their agreement, chance, alpha and seconds; the project first."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for one in self.all:
            if one.labeler_id is None and one.week is None and one.measure in CATEGORY_MEASURES:
                unit = CATEGORY_MEASURES[one.measure]
                value, interval = said(one.value, unit), between(one.low, one.high, unit)
                name = one.measure.replace("-", "_")
                found[one.category][name] = f"{value} ({interval})" if interval else value
        return [Category(name=name, values=found[name]) for name in sorted(found)]

    def heat(self) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
        """Who is in it, and a row of cells for each of them."""
        found = [one for one in self.all if one.other_id and one.measure == Measure.AGREEMENT]
        shares: dict[int, int] = defaultdict(int)
        names: dict[int, str] = {}
        pairs: dict[tuple[int, int], QualityFigure] = {}
        for one in found:
            left, right = one.labeler_id or 0, one.other_id or 0
            pairs[left, right] = pairs[right, left] = one
            names[left] = self.named(_labeler(one))
            names[right] = self.named(one.other) if one.other else ""
            shares[left] += one.count
            shares[right] += one.count
        chosen = sorted(shares, key=lambda pk: -shares[pk])[:MOST_IN_HEAT]
        chosen.sort(key=lambda pk: names[pk])
        rows = [
            (names[one], [_cell(pairs.get((one, other))) for other in chosen]) for one in chosen
        ]
        return [names[pk] for pk in chosen], rows


CATEGORY_MEASURES: dict[str, str] = {
    Measure.AGREEMENT: PERCENT,
    Measure.CHANCE: PERCENT,
    Measure.ALPHA: "number",
    Measure.SECONDS_P50: "seconds",
}


def _labeler(figure: QualityFigure) -> User:
    if figure.labeler is None:
        raise ValueError(figure.pk)
    return figure.labeler


def _cell(figure: QualityFigure | None) -> Cell:
    if figure is None:
        return Cell()
    heat = round((figure.value - 0.5) * 2 * HEATS)
    return Cell(
        value=said(figure.value).removesuffix(" %"),
        heat=str(min(max(heat, 0), HEATS)),
        told=f"{said(figure.value)}, {between(figure.low, figure.high)} ({figure.count})",
    )


def line(weeks: Sequence[tuple[date, float]]) -> str:
    """The points of a line from 0 at the bottom to 1 at the top, by date; never localised."""
    if len(weeks) < 2:
        return ""
    first, last = weeks[0][0], weeks[-1][0]
    span = max((last - first).days, 1)
    return " ".join(
        f"{(week - first).days / span * LINE_WIDTH:.1f},{(1 - value) * LINE_HEIGHT:.1f}"
        for week, value in weeks
    )


def in_words(weeks: Iterable[tuple[date, float]]) -> str:
    """The same as text, for those who don't see the line."""
    return ", ".join(f"{week:%Y-%m-%d}: {said(value)}" for week, value in weeks)
