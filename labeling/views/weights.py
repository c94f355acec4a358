"""What each labeler's work counts in training: now, as suggested, and how it came to be."""

from __future__ import annotations

import math

from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from labeling import weights
from labeling.models import RANKERS, LabelerWeight, Project, Role, User
from labeling.quality_reports import newest_report
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, signed_in
from labeling.views.quality_words import between, said

MOST_CHANGES = 100


@signed_in
@require_GET
def weight_list(request: SignedIn, slug: str) -> HttpResponse:
    """Everybody who ranks here, what their work counts, and every change so far."""
    return _shown(request, project_for(request, slug, Role.MANAGER))


def _shown(
    request: SignedIn,
    project: Project,
    *,
    why: Refusal | None = None,
    labeler: int = 0,
) -> HttpResponse:
    """The page. why: a form that comes back for `labeler`, with what was sent."""
    changes = LabelerWeight.objects.filter(project=project).select_related("labeler", "set_by")
    standing = {one.labeler_id: one for one in changes.filter(is_current=True)}
    report = newest_report(project)
    suggested = (
        {one.labeler.pk: one for one in weights.suggestions(report)} if report is not None else {}
    )
    people = User.objects.filter(
        Q(memberships__project=project, memberships__role__in=RANKERS)
        | Q(pk__in=[*standing, *suggested])
    ).distinct()
    rows = []
    for person in people.order_by("name", "username"):
        now, hint = standing.get(person.pk), suggested.get(person.pk)
        weight = now.weight if now else weights.FULL
        back = why is not None and labeler == person.pk
        rows.append(
            {
                "labeler": person,
                "standing": now,
                "weight": request.POST.get("weight", "") if back else f"{weight:g}",
                "reason": request.POST.get("reason", "") if back else "",
                "problem": why.message if why is not None and back else "",
                "suggested": f"{hint.weight:g}" if hint else "",
                "differs": hint is not None and hint.weight != weight,
                "reliability": said(hint.reliability.value) if hint else "",
                "interval": between(hint.reliability.low, hint.reliability.high) if hint else "",
            }
        )
    page = {
        "project": project,
        "report": report,
        "rows": rows,
        "differing": sum(bool(row["differs"]) for row in rows),
        "changes": changes.order_by("-pk")[:MOST_CHANGES],
    }
    return render(request, "labeling/weight_list.html", page, status=why.status if why else 200)


@signed_in
@require_POST
def weight(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Let one labeler's work count so much from now on."""
    project = project_for(request, slug, Role.MANAGER)
    labeler = get_object_or_404(User, pk=pk)
    try:
        weights.set_weight(
            project=project,
            labeler=labeler,
            weight=_number(request.POST.get("weight", "")),
            by=request.user,
            reason=request.POST.get("reason", ""),
        )
    except weights.NobodyHere as refusal:
        return HttpResponse(refusal.message, status=404, content_type="text/plain")
    except Refusal as refusal:
        return _shown(request, project, why=refusal, labeler=pk)
    messages.success(request, _("Set. The next dataset that is frozen takes it."))
    return redirect("weight-list", project.slug)


def _number(text: str) -> float:
    """What was typed; nan where that is no number."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.nan


@signed_in
@require_POST
def weights_suggested(request: SignedIn, slug: str) -> HttpResponse:
    """Set all weights as the newest report suggests."""
    project = project_for(request, slug, Role.MANAGER)
    report = newest_report(project)
    changed = 0
    if report is not None:
        changed = weights.apply_suggestions(project=project, report=report, by=request.user)
    words = ngettext("%(n)s weight changed.", "%(n)s weights changed.", changed)
    messages.success(request, words % {"n": changed})
    return redirect("weight-list", project.slug)
