"""Rankings: kept while they are made, submitted, looked at again, corrected."""

from __future__ import annotations

from operator import itemgetter

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling import assignments, rankings
from labeling.forms.rankings import DraftForm, ranks_in, seconds_in
from labeling.models import RANKERS, Assignment, Draft, Ranking
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, signed_in
from labeling.views.assignments import (
    LETTERS,
    assignment_for,
    desk,
    lease_token,
    next_page,
    stopped_page,
)

PAGE = 25
MOST_SECONDS_UNSEEN = 600.0
"""Without scripts nobody counts activity: the time since the prompt was opened, but no more."""


@signed_in
@require_POST
def submission(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Store the ranking and go on to the next prompt."""
    assignment = assignment_for(request, slug, pk)
    ranks = ranks_in(request.POST)
    try:
        rankings.submit_ranking(
            assignment=assignment,
            labeler=request.user,
            token=lease_token(request),
            ranks=ranks,
            seconds=seconds_in(request.POST, _seconds_since_opened(assignment)),
        )
    except rankings.BadRanks as refusal:
        return desk(
            request,
            assignment.project,
            assignment,
            chosen=ranks,
            notice=refusal.message,
            status=refusal.status,
        )
    except Refusal as refusal:
        return stopped_page(request, assignment.project, refusal)
    return next_page(request, assignment.project, done=_("Submitted."))


def _seconds_since_opened(assignment: Assignment) -> float:
    """Since this slot was opened, at most MOST_SECONDS_UNSEEN."""
    if assignment.opened_at is None:
        return 0.0
    since = (timezone.now() - assignment.opened_at).total_seconds()
    return min(max(since, 0.0), MOST_SECONDS_UNSEEN)


@signed_in
@require_POST
def draft(request: SignedIn, slug: str, pk: int) -> JsonResponse:
    """Keep a ranking under way. {"saved": false}: a newer one is there, or it was submitted."""
    assignment = assignment_for(request, slug, pk)
    token = lease_token(request)
    form = DraftForm(request.POST)
    if not form.is_valid():
        message = _("A draft needs a whole number `sequence` and `content` with its ranks.")
        return JsonResponse({"code": "bad_draft", "message": message}, status=400)
    try:
        assignments.refuse_strangers(assignment, request.user, token)
        saved = rankings.save_draft(
            slate=assignment.slate, labeler=request.user, **form.cleaned_data
        )
    except Refusal as refusal:
        return JsonResponse(
            {"code": refusal.code, "message": refusal.message}, status=refusal.status
        )
    return JsonResponse({"saved": saved})


@signed_in
@require_GET
def my_rankings(request: SignedIn, slug: str) -> HttpResponse:
    """What the person submitted in this project, newest first."""
    project = project_for(request, slug, *RANKERS)
    mine = (
        Ranking.objects.current()
        .filter(labeler=request.user, slate__project=project)
        .select_related("slate__prompt", "assignment")
        .prefetch_related("ranks__completion", "slate__items")
        .order_by("-pk")
    )
    page = Paginator(mine, PAGE).get_page(request.GET.get("page"))
    rows = [{"ranking": ranking, "order": order_of(ranking)} for ranking in page]
    drafts = rankings.too_late(project=project, labeler=request.user)[:PAGE]
    late = [{"draft": draft, "texts": _by_rank(draft)} for draft in drafts]
    shown = {"project": project, "page": page, "rows": rows, "late": late}
    return render(request, "labeling/my_rankings.html", shown)


def _by_rank(draft: Draft) -> list[dict[str, object]]:
    """The completions that a draft had placed, best first."""
    ranks = rankings.drafted_ranks(draft)
    texts = [
        {"rank": ranks[item.completion_id], "text": item.completion.text}
        for item in draft.slate.items.all()
        if item.completion_id in ranks
    ]
    return sorted(texts, key=itemgetter("rank"))


def order_of(ranking: Ranking) -> str:
    """A ranking in letters, as the labeler saw them: "B > A = D > C"."""
    letter_of = _letters(ranking)
    places: dict[int, list[str]] = {}
    for ranked in ranking.ranks.all():
        places.setdefault(ranked.rank, []).append(letter_of[ranked.completion_id])
    return " > ".join(" = ".join(sorted(places[rank])) for rank in sorted(places))


def _letters(ranking: Ranking) -> dict[int, str]:
    """The letter under which each completion was shown, by its id, in the order shown."""
    items = list(ranking.slate.items.all())
    shown = [items[int(position)].completion_id for position in ranking.assignment.order]
    return dict(zip(shown, LETTERS, strict=False))


@signed_in
@never_cache
@require_http_methods(["GET", "POST"])
def ranking(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """One of the person's own rankings; a POST puts a corrected one in its place."""
    project = project_for(request, slug, *RANKERS)
    own = Ranking.objects.filter(slate__project=project, labeler=request.user)
    found = get_object_or_404(own.select_related("slate__prompt", "assignment"), pk=pk)
    unsaved = rankings.unsaved_ranks(found) if found.is_current else {}
    chosen = unsaved or rankings.ranks_of(found)
    if request.method == "POST":
        chosen = ranks_in(request.POST)
    problem = ""
    if request.method == "POST":
        try:
            fresh = rankings.correct_ranking(
                ranking=found, labeler=request.user, ranks=chosen, seconds=found.seconds
            )
        except Refusal as refusal:
            problem, status = refusal.message, refusal.status
        else:
            messages.success(request, _("The ranking as you corrected it stands now."))
            return redirect("ranking", slug, fresh.pk)
    completions = assignments.shown(found.assignment)
    page = {
        "project": project,
        "ranking": found,
        "problem": problem,
        "unsaved": bool(unsaved) and request.method == "GET",
        "items": [
            {"letter": letter, "completion": completion, "rank": chosen.get(completion.pk)}
            for letter, completion in zip(LETTERS, completions, strict=False)
        ],
        "places": range(1, len(completions) + 1),
    }
    return render(request, "labeling/ranking.html", page, status=status if problem else 200)
