"""Guidelines: read before the work and beside it, every version of them."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseClientRedirect

from labeling import guidelines as verbs
from labeling.differences import side_by_side
from labeling.models import RANKERS, Project, Role
from labeling.views.access import SignedIn, project_for, role_in, signed_in
from labeling.whole_numbers import small_int

WORK = ("rank", "demonstration-write", "prompt-write")
"""Pages before which the guidelines are read."""


def unread_first(request: SignedIn, project: Project, then: str) -> HttpResponse | None:
    """To the guidelines and from there to `then`, where the version in force was not read; or None.

    then: one of WORK.
    """
    if verbs.to_be_read(project=project, user=request.user) is None:
        return None
    address = f"{reverse('guidelines', args=[project.slug])}?then={then}"
    return HttpResponseClientRedirect(address) if request.htmx else redirect(address)


@signed_in
@require_GET
def guidelines(request: SignedIn, slug: str) -> HttpResponse:
    """What makes one completion better than another, for everyone in the project.

    Before the work, to whoever has not read the version in force: what is new in it is marked.
    `?version=2` shows an earlier one.
    """
    project = project_for(request, slug)
    role = role_in(project, request.user)
    unread = verbs.to_be_read(project=project, user=request.user)
    versions = list(project.guideline_versions.select_related("created_by"))
    chosen = project.guidelines
    if "version" in request.GET:
        number = small_int(request.GET["version"], most=10**6)
        chosen = get_object_or_404(project.guideline_versions, version=number)
    before = verbs.last_read(project=project, user=request.user) if unread else None
    page = {
        "project": project,
        "chosen": chosen,
        "versions": versions,
        "may_edit": role == Role.MANAGER,
        "to_be_read": unread is not None and role in RANKERS and chosen == unread,
        "changes": side_by_side(before.text, unread.text) if before and unread else None,
        "before": before,
        "then": request.GET.get("then", ""),
    }
    return render(request, "labeling/guidelines.html", page)


@signed_in
@require_POST
def read(request: SignedIn, slug: str) -> HttpResponse:
    """The person has read the version that was shown, and goes on to the work they came for.

    Without one that there is, the guidelines come again.
    """
    project = project_for(request, slug, *RANKERS)
    number = small_int(request.POST.get("version", ""), most=10**6) or 0
    shown = project.guideline_versions.filter(version=number).first()
    if shown is not None:
        verbs.mark_read(guidelines=shown, user=request.user)
    then = request.POST.get("then", "")
    return redirect(then if then in WORK else "rank", slug)
