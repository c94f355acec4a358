"""What is owed for: who did how much in which week, from work days. Knows nothing of money."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Min, Sum
from django.utils import timezone

from labeling.models import Project, WorkDay

COUNTS = ("rankings", "corrections", "demonstrations", "prompts")


@dataclass(frozen=True, kw_only=True)
class WeekOfWork:
    """What one person did in one ISO week. seconds: active ones."""

    monday: date
    name: str
    username: str
    rankings: int
    corrections: int
    demonstrations: int
    prompts: int
    seconds: float

    @property
    def week(self) -> str:
        """As ISO 8601 names it: 2026-W48."""
        return week_name(self.monday)

    @property
    def hours(self) -> float:
        """Active ones."""
        return self.seconds / 3600


def week_name(day: date) -> str:
    """The ISO week that `day` is in: 2026-W48."""
    year, week, _weekday = day.isocalendar()
    return f"{year}-W{week:02d}"


def monday_of(name: str) -> date | None:
    """The first day of a week named like 2026-W48; None where that is no week."""
    try:
        year, week = name.split("-W")
        return date.fromisocalendar(int(year), int(week), 1)
    except ValueError:
        return None


def weeks_of(project: Project) -> list[date]:
    """The Mondays of all weeks since work began, the newest first; this week is always there."""
    today = timezone.localdate()
    first = WorkDay.objects.filter(project=project).aggregate(first=Min("day"))["first"] or today
    monday = today - timedelta(days=today.weekday())
    count = max((monday - first).days + 6, 0) // 7 + 1
    return [monday - timedelta(weeks=back) for back in range(count)]


def payments(*, project: Project, first: date, last: date) -> list[WeekOfWork]:
    """Everybody's weeks from the Monday `first` to that of `last`, the newest first, by name.

    People who have left are in it: their work was done.
    """
    rows = (
        WorkDay.objects.filter(project=project, day__gte=first, day__lte=last + timedelta(days=6))
        .order_by()
        .values_list("labeler", "labeler__name", "labeler__username", "day")
        .annotate(*(Sum(name) for name in COUNTS), Sum("seconds"))
    )
    sums: dict[tuple[date, str, str], list[float]] = defaultdict(lambda: [0] * 5)
    for _pk, name, username, day, *numbers in rows:
        found = sums[day - timedelta(days=day.weekday()), name or username, username]
        for place, number in enumerate(numbers):
            found[place] += number or 0
    return list(_sorted(sums))


def _sorted(sums: dict[tuple[date, str, str], list[float]]) -> Iterator[WeekOfWork]:
    """The newest week first; weeks in which nothing was done are left out."""
    for key in sorted(sums, key=lambda key: (-key[0].toordinal(), key[1].casefold(), key[2])):
        *counts, seconds = sums[key]
        if any(sums[key]):
            monday, name, username = key
            numbers = dict(zip(COUNTS, map(int, counts), strict=True))
            yield WeekOfWork(
                monday=monday, name=name, username=username, seconds=seconds, **numbers
            )
