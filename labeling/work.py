"""How much people did: counted by day and category, in the transaction of the work itself."""

from __future__ import annotations

from datetime import date

from django.db.models import F, Sum
from django.utils import timezone

from labeling.models import Project, User, WorkDay


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
    added = {
        "rankings": F("rankings") + rankings,
        "corrections": F("corrections") + corrections,
        "demonstrations": F("demonstrations") + demonstrations,
        "prompts": F("prompts") + prompts,
        "seconds": F("seconds") + seconds,
    }
    key = {
        "project": project,
        "labeler": labeler,
        "day": day or timezone.localdate(),
        "category": category,
    }
    today = WorkDay.objects.filter(**key)
    if not today.update(**added):
        WorkDay.objects.bulk_create([WorkDay(**key)], ignore_conflicts=True)
        today.update(**added)


def ranked_today(*, project: Project, labeler: User) -> int:
    """How many rankings `labeler` submitted today, read off the work day: no ranking is counted."""
    today = WorkDay.objects.filter(project=project, labeler=labeler, day=timezone.localdate())
    return today.aggregate(n=Sum("rankings"))["n"] or 0
