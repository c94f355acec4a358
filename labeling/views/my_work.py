"""A labeler's own page, and the reminder to rest that stands above their work."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from labeling.models import RANKERS, Project
from labeling.my_work import FEWEST_PAIRS, agreement_with_others, done_by
from labeling.progress import rankings_by_day
from labeling.rest import stretch_of
from labeling.views.access import SignedIn, project_for, signed_in
from labeling.views.bars import bars

DAYS = 28
PUT_AWAY = "rest-put-away"
"""In the session: when the person put the reminder away."""


@signed_in
@require_GET
def my_work(request: SignedIn, slug: str) -> HttpResponse:
    """What I did, and how often others agree with me. No ranking of people against each other."""
    project = project_for(request, slug, *RANKERS)
    page: dict[str, Any] = {
        "project": project,
        "done": done_by(project=project, labeler=request.user),
        "agreement": agreement_with_others(project=project, labeler=request.user),
        "fewest": FEWEST_PAIRS,
        "stretch": stretch_of(request.user),
        "bars": bars(rankings_by_day(project, days=DAYS, labeler=request.user.pk)),
    }
    return render(request, "labeling/my_work.html", page)


def minutes_without_pause(request: SignedIn, project: Project) -> int | None:
    """How long the person has worked, where it is time to say so; None where it is not.

    Not where it was put away in this stretch of work. At most one query.
    """
    if not project.rest_minutes:
        return None
    stretch = stretch_of(request.user)
    if stretch is None or stretch.minutes < project.rest_minutes:
        return None
    put_away = request.session.get(PUT_AWAY)
    if put_away and datetime.fromisoformat(put_away) >= stretch.began:
        return None
    return stretch.minutes


@signed_in
@require_POST
def rest_put_away(request: SignedIn, slug: str) -> HttpResponse:
    """Don't say it again until after the next pause."""
    project_for(request, slug, *RANKERS)
    request.session[PUT_AWAY] = timezone.now().isoformat()
    return HttpResponse() if request.htmx else redirect("rank", slug)
