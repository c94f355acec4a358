"""Invitations: made and taken back by a manager, accepted by whoever holds the link."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from labeling import people
from labeling.forms.people import AcceptForm
from labeling.models import Invitation, Role, User
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, signed_in
from labeling.views.people import people_page
from labeling.views.sign_in import BACKEND

FIELD_OF = {"username_refused": "username", "password_refused": "password"}


@signed_in
@require_POST
def revoke(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """The link stops working."""
    project = project_for(request, slug, Role.MANAGER)
    people.revoke_invitation(invitation=get_object_or_404(Invitation, pk=pk, project=project))
    messages.success(request, _("The link no longer works."))
    return redirect("project-people", slug)


@signed_in
@never_cache
@require_POST
def reissue(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """A new link in place of the old one, shown once."""
    project = project_for(request, slug, Role.MANAGER)
    old = get_object_or_404(Invitation, pk=pk, project=project, accepted_at=None)
    fresh, secret = people.reissue_invitation(invitation=old, by=request.user)
    return people_page(request, project, fresh=fresh, secret=secret)


@never_cache
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """What the link leads into, and a form to come in. Fetching the page uses nothing up."""
    try:
        found = people.find_invitation(secret=secret)
        page = {"invitation": found, "form": AcceptForm(request.POST or None)}
        if request.method == "POST":
            return _accept(request, secret, page)
        return render(request, "labeling/invitation.html", page)
    except people.InvitationInvalid as refusal:
        page = {"problem": refusal.message}
        return render(request, "labeling/invitation.html", page, status=refusal.status)


def _accept(request: HttpRequest, secret: str, page: dict[str, object]) -> HttpResponse:
    """Join with the account that is signed in, or with a new one. Raises InvitationInvalid."""
    found, form = page["invitation"], page["form"]
    assert isinstance(found, Invitation)
    assert isinstance(form, AcceptForm)
    if isinstance(request.user, User):
        people.join_by_invitation(secret=secret, user=request.user)
        return redirect("project", found.project.slug)
    if form.is_valid():
        try:
            user = people.accept_invitation(secret=secret, **form.cleaned_data)
        except people.InvitationInvalid:
            raise
        except Refusal as refusal:
            form.add_error(FIELD_OF[refusal.code], refusal.message)
        else:
            login(request, user, backend=BACKEND)
            return redirect("project", found.project.slug)
    return render(request, "labeling/invitation.html", page, status=400)
