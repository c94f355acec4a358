"""How far the labeling side has turned: a few counts for the overview, in few queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Count, Max, Q
from django.db.models.functions import TruncDate
from django.utils import timezone

from labeling.demonstrations import live_demonstrations
from labeling.models import Completion, Project, Prompt, Purpose, Ranking, Split

DAYS = 14


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Counts of one project: what has come in so far. They read all of its rows."""

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


def progress_of(project: Project) -> Progress:
    """Where the labeling of `project` stands."""
    splits = dict.fromkeys((str(split) for split in Split), 0)
    prompts = Prompt.objects.live().filter(project=project)
    splits.update(dict(prompts.values_list("split").annotate(n=Count("pk")).order_by()))
    # A source is one project's: its completions are found without a look at any prompt.
    written = Completion.objects.filter(source__project=project).aggregate(
        count=Count("pk"), newest=Max("pk")
    )
    current = Ranking.objects.current().filter(slate__project=project)
    stands = Q(
        slate__purpose=Purpose.TRAINING,
        slate__withdrawn_at=None,
        slate__prompt__withdrawn_at=None,
    )
    totals = current.aggregate(
        training=Count("pk", filter=stands),
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
    newest = Completion.objects.filter(pk=written["newest"]).values_list("created_at", flat=True)
    return Progress(
        prompts=sum(splits.values()),
        prompts_by_split=splits,
        newest_prompt_at=prompts.order_by("-pk").values_list("created_at", flat=True).first(),
        demonstrations=live_demonstrations(project).count(),
        completions=written["count"],
        newest_completion_at=newest.first() if written["count"] else None,
        rankings=totals["training"],
        evaluation_rankings=totals["evaluation"],
        rankings_by_day=[(day, by_day.get(day, 0)) for day in days],
        labelers=recent.values("labeler").distinct().count(),
        newest_ranking_at=totals["newest"],
    )
