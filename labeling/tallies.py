"""Counts over all rows of a project: counted when they are read, and kept once it is large.

A project is counted as it stands while that takes a moment (below LARGE slots and prompts), so that
a small team sees each ranking at once. A larger one is counted by the tick of a worker, at most
each minute and only when something came in, and pages say as of when. Adding up with each ranking
instead would make every submission write the same few rows, one after the other; triggers would
have to be written twice, for two databases.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef
from django.utils import timezone

from labeling.demonstrations import live_demonstrations
from labeling.models import (
    Assignment,
    Completion,
    Project,
    Prompt,
    Purpose,
    Ranking,
    Slate,
    Source,
    Tally,
)

LARGE = 20_000
"""Slots, or prompts: more are not counted while somebody waits."""
KEPT_FOR = timedelta(minutes=1)
AT_LEAST_EVERY = timedelta(minutes=15)
"""What is withdrawn leaves no mark: it is noticed then."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Tallies:
    """The counts of one project."""

    rows: tuple[Tally, ...]
    counted_at: datetime
    kept: bool
    """Counted a while ago."""

    def by_key(self, measure: Tally.Measure) -> dict[str, int]:
        """What was counted, by split, purpose or category."""
        return {row.key: row.number for row in self.rows if row.measure == measure}

    def total(self, measure: Tally.Measure) -> int:
        """All keys together."""
        return sum(self.by_key(measure).values())

    def newest(self, measure: Tally.Measure) -> datetime | None:
        """When the last of them came."""
        moments = (row.newest for row in self.rows if row.measure == measure)
        return max((moment for moment in moments if moment is not None), default=None)


def tallies_of(project: Project) -> Tallies:
    """The counts of `project`: kept ones, or, of a small project, as it stands now."""
    kept = tuple(Tally.objects.filter(project=project))
    if kept:
        return Tallies(rows=kept, counted_at=min(row.counted_at for row in kept), kept=True)
    now = timezone.now()
    return Tallies(rows=tuple(_count(project, now)), counted_at=now, kept=False)


def categories_of(project: Project) -> list[str]:
    """The categories that slots of `project` have; of a large one those counted last."""
    found = tallies_of(project)
    keys = {*found.by_key(Tally.Measure.OPEN), *found.by_key(Tally.Measure.DONE)}
    return sorted(keys - {""})


def is_large(project: Project) -> bool:
    """Whether counting it takes more than a moment. Looks at no more than LARGE rows."""
    slots = Assignment.objects.filter(project=project)
    prompts = Prompt.objects.filter(project=project)
    return any(rows.order_by().values("pk")[LARGE : LARGE + 1] for rows in (slots, prompts))


def keep_due_tallies() -> int:
    """Count anew what was counted a while ago, of large projects; how many that were."""
    kept = {row.project_id: row for row in Tally.objects.filter(measure=Tally.Measure.MARK)}
    counted = 0
    for project in Project.objects.open():
        last = kept.get(project.pk)
        if last is None and not is_large(project):
            continue
        if last is not None and timezone.now() - last.counted_at < KEPT_FOR:
            continue
        mark = _mark()
        if last is not None and _holds(last, mark):
            continue
        keep_tallies(project=project, mark=mark)
        counted += 1
    return counted


def _holds(last: Tally, mark: int) -> bool:
    """Whether nothing came in since `last` was written, not too long ago."""
    return last.number == mark and timezone.now() - last.counted_at < AT_LEAST_EVERY


def _mark() -> int:
    """Another number whenever something came in, in whichever project."""
    growing = (Prompt.objects, Completion.objects, Assignment.objects, Ranking.objects)
    return sum(rows.aggregate(n=Max("pk"))["n"] or 0 for rows in growing)


def keep_tallies(*, project: Project, mark: int = 0) -> None:
    """Count `project` and put that in the place of what was counted before.

    mark: how far the rows went; where it is the same later on, nothing came in.
    """
    now = timezone.now()
    rows = list(_count(project, now))
    rows.append(Tally(project=project, measure=Tally.Measure.MARK, number=mark, counted_at=now))
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        Tally.objects.filter(project=project).delete()
        Tally.objects.bulk_create(rows)


def _count(project: Project, now: datetime) -> Iterable[Tally]:
    """Every count, each by one query over the rows of `project`."""
    measure = Tally.Measure

    def row(what: Tally.Measure, key: str, number: int, newest: datetime | None = None) -> Tally:
        return Tally(
            project=project, measure=what, key=key, number=number, newest=newest, counted_at=now
        )

    prompts = Prompt.objects.live().filter(project=project).order_by().values_list("split")
    for split, number, newest in prompts.annotate(n=Count("pk"), newest=Max("created_at")):
        yield row(measure.PROMPTS, split, number, newest)
    yield row(measure.COMPLETIONS, "", *_completions(project))
    yield row(measure.DEMONSTRATIONS, "", live_demonstrations(project).count())
    for purpose, number, newest in _rankings(project):
        yield row(measure.RANKINGS, purpose, number, newest)
    slots = Assignment.objects.filter(project=project).order_by()
    for what, state in (
        (measure.OPEN, Assignment.State.OPEN),
        (measure.DONE, Assignment.State.DONE),
    ):
        found = slots.filter(state=state).values_list("category").annotate(n=Count("pk"))
        for category, number in found:
            yield row(what, category, number)


def _completions(project: Project) -> tuple[int, datetime | None]:
    """How many, and when the last one came. A source is one project's: no prompt is looked at."""
    written = Completion.objects.filter(source__in=Source.objects.filter(project=project))
    found = written.aggregate(count=Count("pk"), last=Max("pk"))
    last = Completion.objects.filter(pk=found["last"]).values_list("created_at", flat=True).first()
    return found["count"], last


def _rankings(project: Project) -> Iterable[tuple[str, int, datetime | None]]:
    """What stands, by purpose. Of training slates: nothing of it withdrawn."""
    withdrawn = Slate.objects.filter(pk=OuterRef("slate"), purpose=Purpose.TRAINING).exclude(
        withdrawn_at=None, prompt__withdrawn_at=None
    )
    return (
        Ranking.objects.current()
        .filter(slate__project=project)
        .exclude(Exists(withdrawn))
        .order_by()
        .values_list("slate__purpose")
        .annotate(n=Count("pk"), newest=Max("created_at"))
    )
