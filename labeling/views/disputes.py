"""What labelers ranked most differently, all rankings side by side, and a decision beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from labeling.decisions import decide, decided, decision_of
from labeling.forms.rankings import decided_in
from labeling.models import (
    READERS,
    Completion,
    CompletionFlag,
    Decision,
    Dispute,
    Project,
    PromptFlag,
    Purpose,
    RankedCompletion,
    Ranking,
    Role,
    Slate,
)
from labeling.quality_reports import newest_report
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, role_in, signed_in
from labeling.views.desks import LETTERS, SHOWN_TURNS
from labeling.views.quality import naming
from labeling.views.quality_figures import Named

PAGE = 50
DECIDERS = (Role.REVIEWER, Role.MANAGER)
OWN = "✎"
"""In the place of a letter: a better version that the labeler wrote."""


def undecided(project: Project) -> QuerySet[Dispute]:
    """The newest report's disputes that nobody has decided, the most disputed first."""
    report = newest_report(project)
    if report is None:
        return Dispute.objects.none()
    there = Decision.objects.filter(slate=OuterRef("slate"), is_current=True)
    found = report.disputes.filter(
        ~Exists(there), slate__withdrawn_at=None, slate__prompt__withdrawn_at=None
    )
    return found.select_related("slate__prompt").order_by("-apart", "-slate")


@signed_in
@require_GET
def dispute_list(request: SignedIn, slug: str) -> HttpResponse:
    """The queue."""
    project = project_for(request, slug, *READERS)
    rows = Paginator(undecided(project), PAGE).get_page(request.GET.get("page"))
    decisions = Decision.objects.filter(
        slate__project=project, slate__purpose=Purpose.TRAINING, is_current=True
    )
    page = {
        "project": project,
        "page": rows,
        "report": newest_report(project),
        "decided": decisions.select_related("slate__prompt", "decided_by").order_by("-pk")[:PAGE],
    }
    return render(request, "labeling/dispute_list.html", page)


@signed_in
@never_cache
@require_http_methods(["GET", "POST"])
def dispute(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """One slate with everything that was said of it; whoever may decides it here."""
    if request.method == "POST":
        project = project_for(request, slug, *DECIDERS)
        slate = _slate(request, project, pk)
        explanation = request.POST.get("explanation", "")
        try:
            ranks = decided_in(request.POST)
            decide(slate=slate, by=request.user, ranks=ranks, explanation=explanation)
        except Refusal as refusal:
            return _shown(request, project, slate, why=refusal)
        messages.success(request, _("Decided. It stands beside the rankings and replaces none."))
        following = undecided(project).first()
        if following is None:
            return redirect("dispute-list", slug)
        return redirect("dispute", slug, following.slate_id)
    project = project_for(request, slug, *READERS)
    return _shown(request, project, _slate(request, project, pk))


def _slate(request: SignedIn, project: Project, pk: int) -> Slate:
    """A training slate of the project. Raises Http404."""
    rows = Slate.objects.visible_to(request.user, *READERS).filter(
        project=project, purpose=Purpose.TRAINING
    )
    return get_object_or_404(rows.select_related("prompt"), pk=pk)


def _shown(
    request: SignedIn, project: Project, slate: Slate, *, why: Refusal | None = None
) -> HttpResponse:
    """The page. why: a form that comes back, with what was sent."""
    role = role_in(project, request.user)
    named = naming(project, request.user)
    standing = decision_of(slate)
    ranks: Mapping[int, int] = decided(standing) if standing else {}
    explanation = standing.explanation if standing else ""
    if why is not None:
        ranks = decided_in(request.POST)
        explanation = request.POST.get("explanation", "")
    items = list(slate.items.select_related("completion__source"))
    letters = {item.completion_id: letter for letter, item in zip(LETTERS, items, strict=False)}
    everything = _rankings(slate)
    rankings = [one for one in everything if one.is_current]
    page = {
        "project": project,
        "slate": slate,
        "earlier": slate.prompt.messages[:-SHOWN_TURNS],
        "turns": slate.prompt.messages[-SHOWN_TURNS:],
        "columns": [_column(one, letters, named) for one in rankings],
        "replaced": [_column(one, letters, named) for one in everything if not one.is_current],
        "items": [
            {
                "letter": letters[item.completion_id],
                "completion": item.completion,
                "rank": ranks.get(item.completion_id),
                "said": _said_of(item.completion, rankings),
            }
            for item in items
        ],
        "places": range(1, len(items) + 1),
        "decision": standing,
        "decided_by": named(standing.decided_by) if standing else "",
        "explanation": explanation,
        "may_decide": role in DECIDERS and project.archived_at is None,
        "problem": why.message if why else "",
    }
    return render(request, "labeling/dispute.html", page, status=why.status if why else 200)


def _column(ranking: Ranking, letters: dict[int, str], named: Named) -> dict[str, Any]:
    """What one ranking says, under its labeler's name."""
    return {
        "name": named(ranking.labeler),
        "ranking": ranking,
        "places": _places(ranking, letters),
        "prompt_flags": [PromptFlag(row.flag).label for row in ranking.prompt_flags.all()],
    }


def _rankings(slate: Slate) -> list[Ranking]:
    """All that was said of the slate, replaced or not, with everything that belongs to it."""
    ranked = RankedCompletion.objects.select_related("completion").order_by("rank", "pk")
    rows = Ranking.objects.filter(slate=slate).select_related("labeler")
    return list(
        rows.prefetch_related(
            Prefetch("ranks", queryset=ranked), "completion_flags", "prompt_flags"
        ).order_by("pk")
    )


def _places(ranking: Ranking, letters: dict[int, str]) -> list[tuple[int, str]]:
    """(rank, the letters on it), best first."""
    places: dict[int, list[str]] = {}
    for row in ranking.ranks.all():
        places.setdefault(row.rank, []).append(letters.get(row.completion_id, OWN))
    return [(rank, " = ".join(sorted(found))) for rank, found in sorted(places.items())]


def _said_of(completion: Completion, rankings: list[Ranking]) -> dict[str, Any]:
    """Ranks, grades and flags of one completion in all rankings."""
    rows = [
        row
        for ranking in rankings
        for row in ranking.ranks.all()
        if row.completion_id == completion.pk
    ]
    flags: dict[str, int] = {}
    for ranking in rankings:
        for flagged in ranking.completion_flags.all():
            if flagged.completion_id == completion.pk:
                label = str(CompletionFlag(flagged.flag).label)
                flags[label] = flags.get(label, 0) + 1
    return {
        "ranks": [row.rank for row in rows],
        "grades": [row.likert for row in rows if row.likert is not None],
        "flags": sorted(flags.items()),
    }
