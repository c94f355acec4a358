"""What to rank next: the slot a labeler holds, kept while they work at it, or passed on."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling import assignments, rankings
from labeling.completions import waiting_requests
from labeling.forms.rankings import SkipForm
from labeling.models import RANKERS, Assignment, Project, Ranking
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, signed_in

LETTERS = "ABCDEFGHI"
SHOWN_TURNS = 3
"""Earlier turns of a conversation are folded."""


def desk(
    request: SignedIn,
    project: Project,
    assignment: Assignment | None,
    *,
    status: int = 200,
    chosen: Mapping[int, int] | None = None,
    notice: str = "",
    done: str = "",
    stopped: str = "",
) -> HttpResponse:
    """The ranking page, or only its part that changes where htmx asks.

    chosen: ranks by completion id, of a form that comes back. notice: what is wrong with it.
    done: what was just done, said before the next prompt. stopped: why the last one can't go on.
    """
    page = _page(request, project)
    page.update(notice=notice, done=done, stopped=stopped, skip_form=SkipForm())
    if assignment is not None:
        page.update(_assignment(request, assignment, chosen or {}))
    template = "labeling/rank.html"
    if request.htmx:
        template += "#assignment"
    return render(request, template, page, status=status)


def _page(request: SignedIn, project: Project) -> dict[str, object]:
    """How the labeler is doing, and whether more is coming."""
    mine = Ranking.objects.current().filter(labeler=request.user, slate__project=project)
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "project": project,
        "assignment": None,
        "today": mine.filter(created_at__gte=today).count(),
        "total": mine.count(),
        "waiting": _waiting(project),
    }


def _waiting(project: Project) -> int:
    """For how many prompts completions are asked for and not there yet."""
    return waiting_requests(project).count()


def _assignment(
    request: SignedIn, assignment: Assignment, chosen: Mapping[int, int]
) -> dict[str, object]:
    """The prompt and the completions in this slot's order."""
    completions = assignments.shown(assignment)
    messages = assignment.slate.prompt.messages
    draft = rankings.draft_of(slate=assignment.slate, labeler=request.user)
    return {
        "assignment": assignment,
        "lease": assignments.token_for(assignment, request.user),
        "earlier": messages[:-SHOWN_TURNS],
        "turns": messages[-SHOWN_TURNS:],
        "items": [
            {"letter": letter, "completion": completion, "rank": chosen.get(completion.pk)}
            for letter, completion in zip(LETTERS, completions, strict=False)
        ],
        "places": range(1, len(completions) + 1),
        "draft": {"sequence": draft.sequence, "content": draft.content} if draft else None,
    }


def assignment_for(request: SignedIn, slug: str, pk: int) -> Assignment:
    """A slot of a project in which the person ranks. Raises Http404."""
    visible = Assignment.objects.visible_to(request.user, *RANKERS)
    return get_object_or_404(
        visible.select_related("slate__prompt", "project"), pk=pk, project__slug=slug
    )


def next_page(request: SignedIn, project: Project, *, done: str) -> HttpResponse:
    """On to the next prompt: at once for htmx, by a redirect for a plain form."""
    if not request.htmx:
        return redirect("rank", project.slug)
    following = assignments.lease_next(project=project, labeler=request.user)
    return desk(request, project, following, done=done)


def stopped_page(request: SignedIn, project: Project, refusal: Refusal) -> HttpResponse:
    """Why this prompt can't go on, and the way to the next one."""
    return desk(request, project, None, stopped=refusal.message, status=refusal.status)


def lease_token(request: SignedIn) -> uuid.UUID | None:
    """The token that the form carries; None where it is missing or mangled."""
    try:
        return uuid.UUID(request.POST.get("lease", ""))
    except ValueError:
        return None


@signed_in
@never_cache
@require_GET
def rank(request: SignedIn, slug: str) -> HttpResponse:
    """Lease the next prompt and show it.

    A page that waits asks again with `waiting`, the number it shows: 204 while nothing changed.
    """
    project = project_for(request, slug, *RANKERS)
    following = assignments.lease_next(project=project, labeler=request.user)
    asked = request.GET.get("waiting")
    if request.htmx and following is None and asked == str(_waiting(project)):
        return HttpResponse(status=204)
    return desk(request, project, following)


@signed_in
@require_POST
def renew(request: SignedIn, slug: str, pk: int) -> JsonResponse:
    """Keep the slot while the labeler is active. 409 with a sentence if somebody else has it."""
    assignment = assignment_for(request, slug, pk)
    token = lease_token(request)
    try:
        if token is None:
            raise assignments.LeaseExpired
        until = assignments.renew(assignment=assignment, labeler=request.user, token=token)
    except Refusal as refusal:
        return JsonResponse(
            {"code": refusal.code, "message": refusal.message}, status=refusal.status
        )
    return JsonResponse({"until": until})


@signed_in
@require_POST
def skip(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Pass on this prompt; it goes to somebody else."""
    assignment = assignment_for(request, slug, pk)
    form = SkipForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    try:
        assignments.skip(
            assignment=assignment,
            labeler=request.user,
            token=lease_token(request),
            reason=reason,
        )
    except Refusal as refusal:
        return stopped_page(request, assignment.project, refusal)
    return next_page(request, assignment.project, done=_("Skipped."))
