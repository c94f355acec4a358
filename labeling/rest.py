"""How long a person has worked without a pause, and whether it is time to rest.

Worked out from what they submitted, so that it is the same in every tab and without scripts. It
reminds, and never blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import DateTimeField
from django.utils import timezone

from labeling.models import Assignment, User
from labeling.prepared import Given, Prepared

PAUSE = timedelta(minutes=15)
"""A gap of this length ends a stretch of work."""
LOOKED_AT = 600
"""Submissions looked at, at most."""
_SUBMITTED = Prepared(
    lambda: (
        Assignment.objects.filter(
            labeler=Given("labeler"),
            state=Assignment.State.DONE,
            completed_at__gt=Given("since", DateTimeField()),
            rankings__replaces=None,
        )
        .order_by("-completed_at")
        .values_list("completed_at", "rankings__seconds")[:LOOKED_AT]
    )
)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Work without a pause, up to now."""

    began: datetime
    minutes: int


def stretch_of(user: User, *, now: datetime | None = None) -> Stretch | None:
    """The stretch of work that `user` is in, in any project; None during a pause, or before work.

    Each submission stands for its active seconds before it. One query, of the newest LOOKED_AT
    submissions of the last day: a stretch that goes further back is at least as long as it says.
    """
    now = now or timezone.now()
    done = _SUBMITTED.all(labeler=user.pk, since=now - timedelta(days=1))
    spans = [(ended, timedelta(seconds=seconds)) for ended, seconds in done if ended is not None]
    began = _began(spans, now)
    if began is None:
        return None
    return Stretch(began=began, minutes=int((now - began).total_seconds() // 60))


def _began(done: Iterable[tuple[datetime, timedelta]], now: datetime) -> datetime | None:
    """When the stretch began, from (end, active time) of submissions, the newest first."""
    began: datetime | None = None
    for ended, active in done:
        if (began or now) - ended >= PAUSE:
            break
        began = min(ended - active, began or now)
    return began
