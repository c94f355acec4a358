"""How far the labeling side has turned: a few counts for the overview, in few queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Count, Max, Q
from django.db.models.functions import TruncDate
from django.utils import timezone

from labeling.completions import ready_slates, waiting_requests
from labeling.demonstrations import live_demonstrations
from labeling.models import Project, Prompt, Purpose, Ranking, Split

DAYS = 14


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Counts of one project."""

    prompts: int
    prompts_by_split: dict[str, int]
    demonstrations: int
    completions_waiting: int
    """Completions that are asked for and not there yet."""
    slates_ready: int
    rankings: int
    """Training rankings that stand."""
    evaluation_rankings: int
    rankings_by_day: list[tuple[date, int]]
    """The last DAYS days, the oldest first, days without one included; all purposes."""
    labelers: int
    """People who submitted in these days."""
    newest_ranking_at: datetime | None


def progress_of(project: Project) -> Progress:
    """Where the labeling of `project` stands."""
    splits = dict.fromkeys((str(split) for split in Split), 0)
    rows = Prompt.objects.live().filter(project=project).values_list("split")
    splits.update(dict(rows.annotate(n=Count("pk")).order_by()))
    current = Ranking.objects.current().filter(slate__project=project)
    totals = current.aggregate(
        training=Count("pk", filter=Q(slate__purpose=Purpose.TRAINING)),
        evaluation=Count("pk", filter=Q(slate__purpose=Purpose.EVALUATION)),
        newest=Max("created_at"),
    )
    today = timezone.localdate()
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    first = timezone.make_aware(datetime.combine(days[0], time.min))
    recent = current.filter(created_at__gte=first)
    by_day = dict(
        recent.annotate(day=TruncDate("created_at")).values_list("day").annotate(n=Count("pk"))
    )
    waiting = waiting_requests(project)
    return Progress(
        prompts=sum(splits.values()),
        prompts_by_split=splits,
        demonstrations=live_demonstrations(project).count(),
        completions_waiting=sum(waiting.values_list("k", flat=True)),
        slates_ready=ready_slates(project),
        rankings=totals["training"],
        evaluation_rankings=totals["evaluation"],
        rankings_by_day=[(day, by_day.get(day, 0)) for day in days],
        labelers=recent.values("labeler").distinct().count(),
        newest_ranking_at=totals["newest"],
    )
