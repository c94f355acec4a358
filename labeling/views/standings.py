"""How a labeler stands, seen by a manager: answers that were known, and what follows from them."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from labeling import pauses, screening
from labeling.forms.known_answers import StandingForm
from labeling.models import KNOWN_ANSWERS, Membership, Project, Ranking, Role
from labeling.standings import percent_of, standings_in
from labeling.views.access import SignedIn, project_for, signed_in

PAGE = 50


def _labeler(project: Project, pk: int) -> Membership:
    """A labeler's membership. Raises Http404."""
    members = Membership.objects.filter(project=project, role=Role.LABELER)
    return get_object_or_404(members.select_related("user", "paused_by"), pk=pk)


@signed_in
@require_GET
def member_answers(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """What one labeler said where the answer is known, newest first."""
    project = project_for(request, slug, Role.MANAGER)
    member = _labeler(project, pk)
    answers = (
        Ranking.objects.current()
        .filter(slate__project=project, slate__purpose__in=KNOWN_ANSWERS, labeler=member.user)
        .select_related("slate__prompt", "slate__repeats")
        .order_by("-pk")
    )
    shown = Paginator(answers, PAGE).get_page(request.GET.get("page"))
    page = {
        "project": project,
        "member": member,
        "standing": standings_in(project, [member])[member.pk],
        "page": shown,
        "rows": [
            {"ranking": one, "item": _item(one), "percent": percent_of(one.right_share)}
            for one in shown
        ],
    }
    return render(request, "labeling/member_answers.html", page)


def _item(ranking: Ranking) -> int:
    """The id of the item that a ranking answers: its slate, or the one that it repeats."""
    slate = ranking.slate
    again = slate.repeats is not None and slate.repeats.purpose in KNOWN_ANSWERS
    return slate.repeats_id if again and slate.repeats_id else slate.pk


@signed_in
@require_POST
def member_standing(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Accept a labeler, give another try, pause, resume."""
    project = project_for(request, slug, Role.MANAGER)
    member = _labeler(project, pk)
    form = StandingForm(request.POST)
    if form.is_valid():
        what = form.cleaned_data["do"]
        messages.success(request, _carry_out(request, member, what, form.cleaned_data["note"]))
    else:
        messages.error(request, _("Say what is to be done: accept, again, pause or resume."))
    return redirect("project-people", slug)


def _carry_out(request: SignedIn, member: Membership, what: str, note: str) -> str:
    """Do it; the sentence that says so."""
    name = {"name": member.user}
    if what == "accept":
        screening.accept(membership=member)
        return _("%(name)s is accepted and gets real prompts.") % name
    if what == "again":
        screening.give_another_try(membership=member)
        return _("%(name)s gets the quiz once more.") % name
    if what == "pause":
        pauses.pause(membership=member, by=request.user, note=note)
        return _("%(name)s is paused. Write to them: the page says that you will.") % name
    pauses.resume(membership=member)
    return _("%(name)s works again. Gold items are counted anew.") % name


@signed_in
@require_POST
def accept_all(request: SignedIn, slug: str) -> HttpResponse:
    """Accept all who ranked real prompts before."""
    project = project_for(request, slug, Role.MANAGER)
    number = screening.accept_all_at_work(project=project)
    messages.success(
        request,
        ngettext("%(n)d labeler accepted.", "%(n)d labelers accepted.", number) % {"n": number},
    )
    return redirect("project-people", slug)
