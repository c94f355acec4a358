"""The manager's overview: is the loop turning, and can it be trusted?"""

from __future__ import annotations

import csv
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from labeling.models import Project
from labeling.progress import DAYS, rankings_by_day
from labeling.views.bars import bars
from labeling.views.drawing import Dot
from training.models import Checkpoint, Evaluation, RunResult
from training.views.access import SignedIn, place_of, signed_in
from training.views.loop import Loop, loop_of
from training.views.needs import Need, needs
from training.views.stages import stages
from training.views.team_needs import team_needs
from training.views.trust import agreement_dot, reward_dot

VERSIONS = 12


@signed_in
@require_GET
def overview(request: SignedIn, slug: str) -> HttpResponse:
    """The loop as a line, what needs a person, the trends. A poll gets the first two."""
    place = place_of(request, slug)
    loop = loop_of(place.project, polled=bool(request.htmx))
    context: dict[str, Any] = {
        "project": place.project,
        "can_act": place.can_act,
        "loop": loop,
        "stages": stages(loop),
        "needs": _needs(loop, polled=bool(request.htmx)) if place.can_act else [],
    }
    if request.htmx:
        return render(request, "training/overview.html#loop", context)
    context |= {
        "wins": win_trend(place.project),
        "trust": trust_trend(place.project),
        "bars": bars(loop.labeling.rankings_by_day),
    }
    return render(request, "training/overview.html", context)


def _needs(loop: Loop, *, polled: bool) -> list[Need]:
    """What waits for a person: in the loop, then in the team."""
    return [*needs(loop), *team_needs(loop.project, polled=polled)]


def win_trend(project: Project) -> list[Dot]:
    """Win rate over the base of each evaluated policy, newest first."""
    found = Evaluation.objects.filter(run__project=project).select_related("candidate")
    return [
        Dot(
            label=str(one.candidate),
            value=one.base_win_rate,
            low=one.base_win_low,
            high=one.base_win_high,
            href=reverse("evaluation", args=[project.slug, one.pk]),
        )
        for one in found.order_by("-pk")[:VERSIONS]
    ]


def trust_trend(project: Project) -> list[Dot]:
    """Each reward model's accuracy, newest first, below the labelers' agreement."""
    found = Checkpoint.objects.filter(
        project=project, kind=Checkpoint.Kind.REWARD, run__isnull=False
    )
    versions = list(found.order_by("-pk")[:VERSIONS])
    by_run: dict[int, dict[str, float]] = {}
    numbers = RunResult.objects.filter(run__in=[one.run_id for one in versions])
    for row in numbers:
        by_run.setdefault(row.run_id, {})[row.name] = row.value
    dots = [
        reward_dot(
            one,
            by_run.get(one.run_id or 0, {}),
            href=reverse("checkpoint", args=[project.slug, one.pk]),
        )
        for one in versions
    ]
    return [agreement_dot(project), *dots] if dots else []


@signed_in
@require_GET
def trends_csv(request: SignedIn, slug: str) -> HttpResponse:
    """The trends' numbers: what, which, value, low, high."""
    project = place_of(request, slug).project
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{project.slug}-trends.csv"'
    writer = csv.writer(response)
    writer.writerow(["what", "which", "value", "low", "high"])
    days = rankings_by_day(project, days=DAYS)
    for what, dots in (
        ("win_rate_over_base", win_trend(project)),
        ("accuracy", trust_trend(project)),
    ):
        writer.writerows([what, dot.label, dot.value, dot.low, dot.high] for dot in dots)
    writer.writerows(["rankings", day.isoformat(), n, "", ""] for day, n in days)
    return response
