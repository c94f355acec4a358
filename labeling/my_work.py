"""A labeler's own work: how much, and how often others agree with it. Of nobody else by name."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, Sum
from django.utils import timezone

from labeling.agreement import agreeing_pairs, asked_of_all, summarised
from labeling.models import (
    Project,
    Purpose,
    QualityFigure,
    RankedCompletion,
    Ranking,
    User,
    WorkDay,
)

FEWEST_PAIRS = 20
"""With fewer a share says nothing."""
MOST_SLATES = 500
"""The newest ones that others ranked too."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """How much in a span of time. seconds: active ones."""

    rankings: int
    seconds: float

    @property
    def hours(self) -> float | None:
        """Active ones; None below one hour, of which the minutes say more."""
        return self.seconds / 3600 if self.seconds >= 3600 else None

    @property
    def minutes(self) -> int:
        """Active ones, begun ones counted."""
        return math.ceil(self.seconds / 60)


@dataclass(frozen=True, kw_only=True)
class WithOthers:
    """On which share of pairs somebody else ordered two completions alike; a 95 % interval."""

    rate: float
    low: float | None
    high: float | None
    pairs: int
    as_of: datetime | None
    """When it was worked out; None: just now."""


def done_by(*, project: Project, labeler: User) -> dict[str, Done]:
    """What `labeler` did "today", this "week" (from Monday) and in "all"."""
    today = timezone.localdate()
    monday = today - timedelta(days=today.weekday())
    spans = {"today": Q(day=today), "week": Q(day__gte=monday), "all": Q()}
    names = ("rankings", "seconds")
    sums = WorkDay.objects.filter(project=project, labeler=labeler).aggregate(
        **{
            f"{span}_{name}": Sum(name, filter=when) if when else Sum(name)
            for span, when in spans.items()
            for name in names
        }
    )
    return {
        span: Done(
            rankings=sums[f"{span}_rankings"] or 0,
            seconds=sums[f"{span}_seconds"] or 0.0,
        )
        for span in spans
    }


def agreement_with_others(*, project: Project, labeler: User) -> WithOthers | None:
    """From the newest report of the project, else counted now; None below FEWEST_PAIRS pairs."""
    figure = (
        QualityFigure.objects.filter(
            report=project.quality_reports.exclude(done_at=None).order_by("-pk")[:1],
            measure=QualityFigure.Measure.AGREEMENT,
            labeler=labeler,
            other=None,
            week=None,
            category="",
        )
        .select_related("report")
        .first()
    )
    if figure is None:
        return _counted(project, labeler)
    if figure.count < FEWEST_PAIRS:
        return None
    return WithOthers(
        rate=figure.value,
        low=figure.low,
        high=figure.high,
        pairs=figure.count,
        as_of=figure.report.done_at,
    )


def _counted(project: Project, labeler: User) -> WithOthers | None:
    """Over the newest slates that somebody else ranked too, in slots that every slate gets."""
    counted = Ranking.objects.current().filter(asked_of_all(project))
    others = counted.filter(slate=OuterRef("slate")).exclude(labeler=labeler)
    shared = (
        counted.filter(
            Exists(others),
            labeler=labeler,
            slate__project=project,
            slate__purpose__in=[Purpose.TRAINING, Purpose.EVALUATION],
        )
        .order_by("-pk")
        .values_list("slate", flat=True)[:MOST_SLATES]
    )
    rows = RankedCompletion.objects.filter(
        ranking__in=counted.filter(slate__in=list(shared))
    ).values_list("ranking__slate", "ranking__labeler", "completion", "rank")
    mine: dict[int, dict[int, int]] = defaultdict(dict)
    theirs: dict[int, dict[int, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    for slate, who, completion, rank in rows:
        ranks = mine[slate] if who == labeler.pk else theirs[slate][who]
        ranks[completion] = rank
    found = summarised(_with_each(own, theirs[slate].values()) for slate, own in mine.items())
    if found is None or found.pairs < FEWEST_PAIRS:
        return None
    return WithOthers(
        rate=found.rate, low=found.low, high=found.high, pairs=found.pairs, as_of=None
    )


def _with_each(own: Mapping[int, int], others: Iterable[Mapping[int, int]]) -> tuple[int, int]:
    """Of one slate: (pairs that others order as I do, pairs that both of us order)."""
    counts = [agreeing_pairs([own, other]) for other in others]
    return sum(agreed for agreed, _ in counts), sum(total for _, total in counts)
