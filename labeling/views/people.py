"""Who works in a project: members, their roles, the links that lead in."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from labeling import people
from labeling.forms.people import InvitationForm, RoleForm
from labeling.models import (
    Invitation,
    Membership,
    Project,
    Ranking,
    Role,
    SignInLink,
    WorkDay,
)
from labeling.noted import skips_by_labeler
from labeling.refusals import Refusal
from labeling.sign_in_links import SENT_LINK_MINUTES, issue_sign_in_link
from labeling.standings import standings_in
from labeling.views.access import SignedIn, project_for, signed_in


def people_page(
    request: SignedIn,
    project: Project,
    *,
    form: InvitationForm | None = None,
    fresh: Invitation | None = None,
    sign_in_link: SignInLink | None = None,
    secret: str = "",
    status: int = 200,
) -> HttpResponse:
    """The page; with `fresh` or `sign_in_link` and its secret, that link on top, this once."""
    days = WorkDay.objects.filter(project=project, labeler=OuterRef("user")).order_by()
    ranked = days.values("labeler").annotate(number=Sum("rankings")).values("number")
    theirs = Ranking.objects.current().filter(slate__project=project, labeler=OuterRef("user"))
    members = (
        Membership.objects.filter(project=project)
        .select_related("user")
        .annotate(
            rankings=Coalesce(Subquery(ranked), 0),
            last_ranking=Subquery(theirs.order_by("-pk").values("created_at")[:1]),
        )
        .order_by("-user__is_active", "user__name", "user__username")
    )
    rows = list(members)
    standings = standings_in(project, rows)
    skips = skips_by_labeler(project)
    page = {
        "project": project,
        "members": [
            (member, standings.get(member.pk), skips.get(member.user_id, 0)) for member in rows
        ],
        "unaccepted": sum(standing.waits for standing in standings.values()),
        "roles": Role.choices,
        "invitations": project.invitations.filter(accepted_at=None, revoked_at=None).order_by(
            "-pk"
        ),
        "now": timezone.now(),
        "form": form or InvitationForm(),
        "fresh": fresh,
        "sign_in_link": sign_in_link,
        "secret": secret,
    }
    return render(request, "labeling/people.html", page, status=status)


@signed_in
@never_cache
@require_http_methods(["GET", "POST"])
def project_people(request: SignedIn, slug: str) -> HttpResponse:
    """List; a POST makes an invitation and shows its link, once."""
    project = project_for(request, slug, Role.MANAGER)
    if request.method != "POST":
        return people_page(request, project)
    form = InvitationForm(request.POST)
    if not form.is_valid():
        return people_page(request, project, form=form, status=400)
    fresh, secret = people.invite(project=project, by=request.user, **form.cleaned_data)
    return people_page(request, project, fresh=fresh, secret=secret)


@signed_in
@require_POST
def member(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Give a member another role, or take them out of the project; their work stays."""
    project = project_for(request, slug, Role.MANAGER)
    membership = get_object_or_404(Membership, pk=pk, project=project)
    form = RoleForm(request.POST)
    try:
        if "remove" in request.POST:
            people.remove_member(project=project, user=membership.user)
            done = _("%(name)s is no longer in this project. All their work is kept.")
        elif form.is_valid():
            role = form.cleaned_data["role"]
            people.set_role(project=project, user=membership.user, role=role)
            done = _("%(name)s has a new role.")
        else:
            return people_page(request, project, status=400)
    except Refusal as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, done % {"name": membership.user})
    if membership.user == request.user:
        return redirect("home")
    return redirect("project-people", slug)


@signed_in
@never_cache
@require_POST
def member_sign_in_link(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """A new one-time link for a member who can't come in, shown once."""
    project = project_for(request, slug, Role.MANAGER)
    membership = get_object_or_404(Membership, pk=pk, project=project)
    try:
        link, secret = issue_sign_in_link(
            user=membership.user, by=request.user, minutes=SENT_LINK_MINUTES
        )
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect("project-people", slug)
    return people_page(request, project, sign_in_link=link, secret=secret)
