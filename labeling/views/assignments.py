"""What to rank next: the slot a labeler holds, kept while they work at it, or passed on."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseClientRedirect

from labeling import assignments, guidelines, leasing, notices, rankings, screening
from labeling.completions import waiting_requests
from labeling.differences import side_by_side
from labeling.forms.rankings import SkipForm
from labeling.judgements import Judgement
from labeling.models import RANKERS, READERS, SCREENING, Assignment, Project, Ranking, User
from labeling.pauses import Paused
from labeling.prepared import Given, Prepared
from labeling.refusals import Refusal
from labeling.screening import NotAccepted
from labeling.views import practice
from labeling.views.access import SignedIn, project_for, role_in, signed_in
from labeling.views.desks import desk_of, lettered
from labeling.views.my_work import minutes_without_pause
from labeling.views.quotas import used_up_sentences
from labeling.work import done_today


def _slots() -> QuerySet[Assignment]:
    """The slot given, with all that a step at it looks at."""
    slots = Assignment.objects.filter(pk=Given("pk"), project__slug=Given("slug"))
    return slots.select_related("slate__prompt", "project__guidelines")


HELD_BACK = (Paused, NotAccepted)
"""Why a labeler gets nothing until a manager says so."""
_SLOT = Prepared(
    lambda: _slots().filter(project__in=Project.objects.of_member(Given("user"), *RANKERS))
)
_ANY_SLOT = Prepared(_slots)


def desk_page(
    request: SignedIn,
    project: Project,
    assignment: Assignment | None,
    *,
    status: int = 200,
    said: Judgement | None = None,
    notice: str = "",
    done: str = "",
    stopped: str = "",
    held_back: Refusal | None = None,
) -> HttpResponse:
    """The ranking page, or only its part that changes where htmx asks.

    said: of a form that comes back. notice: what is wrong with it. done: what was just done, said
    before the next prompt. stopped: why the last one can't go on. held_back: why there is no next.
    """
    page = _page(request, project)
    page.update(notice=notice, done=done, stopped=stopped, assignment=assignment)
    page["held_back"] = held_back
    if assignment is None and not stopped:
        page["used_up"] = used_up_sentences(request, project)
    if assignment is not None:
        page["screening"] = _screening(project, assignment, request.user)
        page["desk"] = desk_of(assignment, request.user, said=said)
        page["on_break"] = assignments.on_break(assignment)
        page["last"] = rankings.latest_of(project=project.pk, labeler=request.user)
    else:
        page["waiting"] = _waiting(project)
        page["reads"] = role_in(project, request.user) in READERS
    template = "labeling/rank.html"
    if request.htmx:
        template += "#assignment"
    return render(request, template, page, status=status)


def _page(request: SignedIn, project: Project, *, ahead: int = 0) -> dict[str, object]:
    """How the labeler is doing."""
    return {
        "project": project,
        "today": done_today(project=project, labeler=request.user, what="rankings") + ahead,
        "ranked": Ranking.objects.current().filter(labeler=request.user, slate__project=project),
        "notices": notices.unseen_in(project, request.user),
        "rest_minutes": minutes_without_pause(request, project),
    }


def _screening(project: Project, assignment: Assignment, user: User) -> screening.Progress | None:
    """How far the labeler is with practice and quiz, where the slot is part of them."""
    if assignment.slate.purpose not in SCREENING:
        return None
    membership = screening.labeler_in(project=project, user=user)
    return None if membership is None else screening.progress_of(membership)


def _waiting(project: Project) -> int:
    """For how many prompts completions are asked for and not there yet; conversations are apart."""
    return waiting_requests(project).filter(deadline=None).count()


def assignment_for(request: SignedIn, slug: str, pk: int) -> Assignment:
    """A slot of a project in which the person ranks. Raises Http404."""
    asked = _ANY_SLOT if request.user.is_superuser else _SLOT
    found = asked.first(pk=pk, slug=slug, user=request.user.pk)
    if found is None:
        raise Http404
    return found


def next_page(request: SignedIn, project: Project, *, done: str) -> HttpResponse:
    """On to the next prompt: at once for htmx, by a redirect for a plain form."""
    if not request.htmx:
        return redirect("rank", project.slug)
    if guidelines.to_be_read(project=project, user=request.user):
        return guidelines_first(request, project)
    try:
        following = leasing.lease_next(project=project, labeler=request.user)
    except HELD_BACK as refusal:
        return desk_page(request, project, None, done=done, held_back=refusal)
    return desk_page(request, project, following, done=done)


def guidelines_first(request: SignedIn, project: Project) -> HttpResponse:
    """To the guidelines, of which the person has not read the version in force."""
    if request.htmx:
        return HttpResponseClientRedirect(reverse("guidelines", args=[project.slug]))
    return redirect("guidelines", project.slug)


def stopped_page(request: SignedIn, project: Project, refusal: Refusal) -> HttpResponse:
    """Why this prompt can't go on, and the way to the next one."""
    return desk_page(request, project, None, stopped=refusal.message, status=refusal.status)


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
    if guidelines.to_be_read(project=project, user=request.user):
        return guidelines_first(request, project)
    if (explained := practice.to_be_explained(request, project)) is not None:
        return practice.explanation_first(request, project, explained)
    try:
        following = leasing.lease_next(project=project, labeler=request.user)
    except HELD_BACK as refusal:
        return desk_page(request, project, None, held_back=refusal)
    asked = request.GET.get("waiting")
    if request.htmx and following is None and asked == str(_waiting(project)):
        return HttpResponse(status=204)
    return desk_page(request, project, following)


@signed_in
@never_cache
@require_GET
def ahead(request: SignedIn, slug: str) -> HttpResponse:
    """The prompt after the open one, for a page that shows it once that is submitted; 204: none.

    It looks as it will look then: one more was submitted, and can be undone. Where guidelines are
    to be read before any other prompt, the header `Read-First` says so.
    """
    project = project_for(request, slug, *RANKERS)
    if guidelines.to_be_read(project=project, user=request.user):
        return HttpResponse(status=204, headers={"Read-First": "guidelines"})
    try:
        following = leasing.lease_ahead(project=project, labeler=request.user)
    except HELD_BACK:
        following = None
    if following is None:
        return HttpResponse(status=204)
    page = _page(request, project, ahead=1)
    page.update(assignment=following, desk=desk_of(following, request.user), done=_("Submitted."))
    page["last"] = project.correction_hours > 0
    return render(request, "labeling/rank.html#assignment", page)


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
def take_break(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Keep the slot for as long as a break may last; the page says until when."""
    assignment = assignment_for(request, slug, pk)
    try:
        assignments.begin_break(
            assignment=assignment, labeler=request.user, token=lease_token(request)
        )
    except Refusal as refusal:
        return stopped_page(request, assignment.project, refusal)
    if not request.htmx:
        return redirect("rank", slug)
    return desk_page(request, assignment.project, assignment)


@signed_in
@require_POST
def end_break(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Back at work, with the usual lease."""
    assignment = assignment_for(request, slug, pk)
    assignments.end_break(assignment=assignment, labeler=request.user)
    return redirect("rank", slug)


@signed_in
@require_GET
def compare(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Two of a slot's completions beside each other, the words that differ marked."""
    assignment = assignment_for(request, slug, pk)
    if not assignments.is_for(assignment, request.user):
        raise Http404
    of = dict(lettered(assignment))
    left = request.GET.get("left", "A")
    right = request.GET.get("right", "B")
    if left not in of or right not in of:
        raise Http404
    page = {
        "project": assignment.project,
        "letters": list(of),
        "left": left,
        "right": right,
        "sides": side_by_side(of[left].text, of[right].text),
        "compare_url": request.path,
    }
    template = "labeling/compare.html"
    if request.htmx:
        template += "#two"
    return render(request, template, page)


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
