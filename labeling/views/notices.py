"""Notices: written and withdrawn by managers, put away by those who read them."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from labeling import notices
from labeling.forms.notices import NoticeForm
from labeling.models import RANKERS, Notice, Role
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, signed_in

SHOWN = 50
"""The newest ones, withdrawn ones included."""


@signed_in
@require_http_methods(["GET", "POST"])
def notice_list(request: SignedIn, slug: str) -> HttpResponse:
    """What was said to everybody; a POST says something more."""
    project = project_for(request, slug, Role.MANAGER)
    form = NoticeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            notices.publish_notice(project=project, text=form.cleaned_data["text"], by=request.user)
        except Refusal as refusal:
            form.add_error("text", refusal.message)
        else:
            messages.success(request, _("Everybody sees it with their next page."))
            return redirect("notice-list", slug)
    rows = project.notices.select_related("created_by").annotate(put_away=Count("seen"))
    page = {"project": project, "form": form, "notices": rows.order_by("-pk")[:SHOWN]}
    return render(request, "labeling/notice_list.html", page, status=400 if form.errors else 200)


@signed_in
@require_POST
def notice_withdraw(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Nobody is shown it any more."""
    project = project_for(request, slug, Role.MANAGER)
    notices.withdraw_notice(notice=get_object_or_404(Notice, pk=pk, project=project))
    messages.success(request, _("The notice is withdrawn."))
    return redirect("notice-list", slug)


@signed_in
@require_POST
def notice_seen(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """The person puts it away: back to where it stood, or nothing in its place for htmx."""
    project = project_for(request, slug, *RANKERS)
    notices.put_away(notice=get_object_or_404(Notice, pk=pk, project=project), user=request.user)
    if request.htmx:
        return HttpResponse()
    return redirect("home") if "home" in request.POST else redirect("rank", slug)
