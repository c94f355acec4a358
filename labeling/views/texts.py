"""Texts: listed, taken out, put back."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from labeling import texts
from labeling.models import READERS, Role, Text
from labeling.views.access import SignedIn, project_for, role_in, signed_in

PAGE = 50


@signed_in
@require_GET
def text_list(request: SignedIn, slug: str) -> HttpResponse:
    """All of them, also those taken out, the newest first."""
    project = project_for(request, slug, *READERS)
    found = Text.objects.committed().filter(project=project)
    words = request.GET.get("q", "")
    if words:
        found = found.filter(text__icontains=words)
    page = {
        "project": project,
        "page": Paginator(found.order_by("-pk"), PAGE).get_page(request.GET.get("page")),
        "q": words,
        "may_edit": role_in(project, request.user) == Role.MANAGER,
    }
    return render(request, "labeling/text_list.html", page)


@signed_in
@require_POST
def text_withdraw(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Take a text out, or put it back."""
    project = project_for(request, slug, Role.MANAGER)
    found = get_object_or_404(Text.objects.committed().filter(project=project), pk=pk)
    if found.withdrawn_at is None:
        texts.withdraw_text(text=found)
        messages.success(request, _("Taken out: no later round learns from it."))
    else:
        texts.restore_text(text=found)
        messages.success(request, _("It is back."))
    return redirect("text-list", slug)
