"""Demonstrations: what people would have answered, and a reviewer's yes or no."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Case, IntegerField, Value, When
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling import demonstrations
from labeling.differences import side_by_side
from labeling.models import READERS, Demonstration, Role
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, role_in, signed_in

PAGE = 50
REVIEWERS = (Role.REVIEWER, Role.MANAGER)
REVERSIBLE = (Demonstration.State.ACCEPTED, Demonstration.State.REFUSED)


@signed_in
@require_GET
def demonstration_list(request: SignedIn, slug: str) -> HttpResponse:
    """All of them, those that wait for a review first."""
    project = project_for(request, slug, *READERS)
    live = Demonstration.objects.live().filter(prompt__project=project)
    state = request.GET.get("state", "")
    found = live.filter(state=state) if state in Demonstration.State.values else live
    waiting_first = Case(
        When(state=Demonstration.State.WAITING, then=Value(0)),
        default=Value(1),
        output_field=IntegerField(),
    )
    rows = found.select_related("prompt", "labeler").order_by(waiting_first, "-pk")
    page = {
        "project": project,
        "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "state": state,
        "states": Demonstration.State.choices,
        "waiting": live.filter(state=Demonstration.State.WAITING).count(),
    }
    return render(request, "labeling/demonstration_list.html", page)


@signed_in
@never_cache
@require_GET
def demonstration(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """One of them, beside what it was made of."""
    return _shown(request, slug, pk)


def _shown(
    request: SignedIn, slug: str, pk: int, *, text: str | None = None, why: Refusal | None = None
) -> HttpResponse:
    """The page. text: of a form that comes back, and why it does."""
    project = project_for(request, slug, *READERS)
    found = _found(request, slug, pk, *READERS)
    before = found.edited_from or found.reviewed_from
    reviews = role_in(project, request.user) in REVIEWERS
    page = {
        "project": project,
        "demonstration": found,
        "sides": side_by_side(before.text, found.text) if before else None,
        "taken_back": demonstrations.was_taken_back(found),
        "may_review": reviews and found.state == Demonstration.State.WAITING,
        "may_reopen": reviews and found.state in REVERSIBLE,
        "text": found.text if text is None else text,
        "problem": why.message if why else "",
    }
    return render(request, "labeling/demonstration.html", page, status=why.status if why else 200)


def _found(request: SignedIn, slug: str, pk: int, *roles: Role) -> Demonstration:
    """A demonstration that the person sees in one of `roles`. Raises Http404."""
    visible = Demonstration.objects.visible_to(request.user, *roles)
    rows = visible.select_related("prompt", "labeler", "edited_from", "reviewed_from")
    return get_object_or_404(rows, pk=pk, prompt__project__slug=slug)


@signed_in
@require_POST
def demonstration_review(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Yes, yes in another form, or no; then on to the next that waits. Or the review taken back."""
    found = _found(request, slug, pk, *REVIEWERS)
    text = request.POST.get("text", "")
    try:
        if "again" in request.POST:
            demonstrations.review_again(demonstration=found)
            return redirect("demonstration", slug, pk)
        if "refuse" in request.POST:
            demonstrations.refuse_demonstration(demonstration=found, by=request.user)
            messages.success(request, _("Refused. It is kept, and no model learns from it."))
        else:
            demonstrations.accept_demonstration(demonstration=found, by=request.user, text=text)
            messages.success(request, _("Accepted: the next round learns from it."))
    except Refusal as refusal:
        return _shown(request, slug, pk, text=text, why=refusal)
    waiting = Demonstration.objects.live().filter(
        prompt__project=found.prompt.project_id, state=Demonstration.State.WAITING
    )
    following = waiting.order_by("pk").first()
    if following is None:
        return redirect("demonstration-list", slug)
    return redirect("demonstration", slug, following.pk)
