"""How much people did: counted by day and category, in the transaction of the work itself."""

from __future__ import annotations

import math
from datetime import date, datetime

from django.db.models import DateField, F, QuerySet, Sum
from django.utils import timezone

from labeling.models import Project, User, WorkDay
from labeling.prepared import Given, Prepared, PreparedUpdate


def _on_day() -> QuerySet[WorkDay]:
    """What the labeler given did in the project given, on one day: a row for each category."""
    return WorkDay.objects.filter(
        project=Given("project"), labeler=Given("labeler"), day=Given("day", DateField())
    )


_COUNTS = ("rankings", "corrections", "demonstrations", "prompts", "seconds")
_ADDING = PreparedUpdate(
    lambda: _on_day().filter(category=Given("category")),
    lambda: {name: F(name) + Given(name) for name in _COUNTS},
)
_ON_DAY = Prepared(_on_day)

MAX_SECONDS = 24 * 3600.0
LEEWAY = 10.0
"""Seconds that a page may have counted before the server knew of the work."""
A_LONG_TIME = 900.0
"""Seconds of one piece of work from which on the day's are looked at, which takes a query."""
UNSEEN = 30.0
"""Seconds of work that the server never saw begin: offline, or skipped and sent after all."""


def active_seconds(claimed: float, *, most: float = MAX_SECONDS) -> float:
    """What counts of the active seconds that a page or a program claims: work is paid by it."""
    if not math.isfinite(claimed):
        return 0.0
    return min(max(claimed, 0.0), most, MAX_SECONDS)


def paid_seconds(claimed: float, *, most: float, labeler: User) -> float:
    """What counts of the seconds claimed for a piece of work that began no longer than `most` ago.

    Several can have been open side by side: of a long one no more counts than makes a day of all.
    """
    active = active_seconds(claimed, most=most)
    return active if active < A_LONG_TIME else min(active, left_of_today(labeler))


def gone_since(begun: datetime | None) -> float:
    """As many seconds as there can have been since the work began, or UNSEEN."""
    if begun is None:
        return UNSEEN
    return max((timezone.now() - begun).total_seconds(), 0.0) + LEEWAY


def left_of_today(labeler: User) -> float:
    """Active seconds, in all projects, that are missing to a whole day of them."""
    today = WorkDay.objects.filter(labeler=labeler, day=timezone.localdate())
    return max(MAX_SECONDS - (today.aggregate(total=Sum("seconds"))["total"] or 0.0), 0.0)


def count_work(
    *,
    project: Project,
    labeler: User,
    category: str = "",
    rankings: int = 0,
    corrections: int = 0,
    demonstrations: int = 0,
    prompts: int = 0,
    seconds: float = 0.0,
    day: date | None = None,
) -> None:
    """Add to what `labeler` did today (or on `day`). seconds: active ones.

    Called within the transaction that stores the work, so that neither is there without the other.
    """
    day = day or timezone.localdate()
    key = {"project": project.pk, "labeler": labeler.pk, "day": day, "category": category}
    added = {
        "rankings": rankings,
        "corrections": corrections,
        "demonstrations": demonstrations,
        "prompts": prompts,
        "seconds": seconds,
    }
    if not _ADDING.run(**key, **added):
        WorkDay.objects.bulk_create(
            [WorkDay(project=project, labeler=labeler, day=day, category=category)],
            ignore_conflicts=True,
        )
        _ADDING.run(**key, **added)


def done_today(*, project: Project, labeler: User, what: str) -> int:
    """How many of `what` (a column of WorkDay: "rankings", "prompts" …) they did today."""
    today = _ON_DAY.all(project=project.pk, labeler=labeler.pk, day=timezone.localdate())
    return sum(getattr(category, what) for category in today)
