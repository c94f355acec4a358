"""How far the labeling side has turned: a few counts for the overview, in few queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Sum
from django.utils import timezone

from labeling.models import Project, Purpose, Split, Tally, WorkDay
from labeling.tallies import Tallies, tallies_of

DAYS = 14
PACE_DAYS = 7
"""Whole days before today: today is not over yet."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Counts of one project: what has come in so far. Those of a large one are kept a minute."""

    prompts: int
    prompts_by_split: dict[str, int]
    newest_prompt_at: datetime | None
    demonstrations: int
    completions: int
    newest_completion_at: datetime | None
    rankings: int
    """Training rankings that stand, nothing of them withdrawn."""
    evaluation_rankings: int
    rankings_by_day: list[tuple[date, int]]
    """The last DAYS days, the oldest first, days without one included; all purposes."""
    labelers: int
    """People who submitted in these days."""
    newest_ranking_at: datetime | None
    counted_at: datetime
    kept: bool
    """Counted a while ago, as pages say."""


def progress_of(project: Project) -> Progress:
    """Where the labeling of `project` stands."""
    found = tallies_of(project)
    measure = Tally.Measure
    splits = dict.fromkeys((str(split) for split in Split), 0) | found.by_key(measure.PROMPTS)
    rankings = found.by_key(measure.RANKINGS)
    today = timezone.localdate()
    recent = WorkDay.objects.filter(
        project=project, day__gt=today - timedelta(days=DAYS), rankings__gt=0
    )
    return Progress(
        prompts=sum(splits.values()),
        prompts_by_split=splits,
        newest_prompt_at=found.newest(measure.PROMPTS),
        demonstrations=found.total(measure.DEMONSTRATIONS),
        completions=found.total(measure.COMPLETIONS),
        newest_completion_at=found.newest(measure.COMPLETIONS),
        rankings=rankings.get(Purpose.TRAINING, 0),
        evaluation_rankings=rankings.get(Purpose.EVALUATION, 0),
        rankings_by_day=rankings_by_day(project, days=DAYS),
        labelers=recent.order_by().values("labeler").distinct().count(),
        newest_ranking_at=found.newest(measure.RANKINGS),
        counted_at=found.counted_at,
        kept=found.kept,
    )


def rankings_by_day(
    project: Project, *, days: int, labeler: int | None = None
) -> list[tuple[date, int]]:
    """First submissions of the last `days` days, the oldest first (of one labeler, by id)."""
    today = timezone.localdate()
    first = today - timedelta(days=days - 1)
    rows = WorkDay.objects.filter(project=project, day__gte=first).order_by()
    if labeler is not None:
        rows = rows.filter(labeler=labeler)
    by_day = dict(rows.values_list("day").annotate(n=Sum("rankings")))
    return [(day, by_day.get(day, 0)) for day in (first + timedelta(days=n) for n in range(days))]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How much was done lately, and how long what is open takes at that."""

    per_day: float
    over_days: int
    """Whole days that it is an average of; 0: work began today, or never did."""
    begun: bool
    open: int

    @property
    def days_left(self) -> float | None:
        """At this pace; None where there is none."""
        return self.open / self.per_day if self.per_day else None


@dataclass(frozen=True, kw_only=True)
class LabelerDone:
    """What one person did: in all, and in the days of the pace."""

    name: str
    done: int
    lately: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CategoryProgress:
    """Slots of one category."""

    name: str
    done: int
    open: int

    @property
    def share(self) -> int:
        """Percent that are done."""
        return round(100 * self.done / (self.done + self.open)) if self.done + self.open else 0


def categories_in(found: Tallies) -> list[CategoryProgress]:
    """Done and open slots by category, those with most first."""
    done, open_ = found.by_key(Tally.Measure.DONE), found.by_key(Tally.Measure.OPEN)
    rows = [
        CategoryProgress(name=name, done=done.get(name, 0), open=open_.get(name, 0))
        for name in {*done, *open_}
    ]
    return sorted(rows, key=lambda row: (-row.done - row.open, row.name))


def pace_of(project: Project, *, open_slots: int) -> Pace:
    """Over the last PACE_DAYS whole days, or as many as there are since work began."""
    today = timezone.localdate()
    work = WorkDay.objects.filter(project=project, rankings__gt=0).order_by("day")
    first = work.values_list("day", flat=True).first()
    since = max(today - timedelta(days=PACE_DAYS), first or today)
    done = work.filter(day__gte=since, day__lt=today).aggregate(n=Sum("rankings"))["n"] or 0
    days = (today - since).days
    return Pace(
        per_day=done / days if days else 0.0,
        over_days=days,
        begun=first is not None,
        open=open_slots,
    )


def labelers_of(project: Project) -> list[LabelerDone]:
    """Everybody who ranked here, those who did most lately first."""
    today = timezone.localdate()
    rows = (
        WorkDay.objects.filter(project=project)
        .order_by()
        .values("labeler")
        .annotate(done=Sum("rankings"), seconds=Sum("seconds"))
        .filter(done__gt=0)
        .values_list("labeler", "labeler__name", "labeler__username", "done", "seconds")
    )
    recent = WorkDay.objects.filter(project=project, day__gt=today - timedelta(days=PACE_DAYS))
    lately = dict(recent.order_by().values_list("labeler").annotate(n=Sum("rankings")))
    found = [
        LabelerDone(name=name or username, done=done, lately=lately.get(pk, 0), seconds=seconds)
        for pk, name, username, done, seconds in rows
    ]
    return sorted(found, key=lambda row: (-row.lately, -row.done, row.name))
