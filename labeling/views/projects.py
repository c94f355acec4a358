"""Projects: started, set up, put away."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling import projects
from labeling.forms.projects import ProjectForm
from labeling.models import READERS, Role
from labeling.views.access import SignedIn, may_create_projects, project_for, role_in, signed_in


@signed_in
@require_http_methods(["GET", "POST"])
def project_create(request: SignedIn) -> HttpResponse:
    """A new project; whoever makes it manages it."""
    if not may_create_projects(request.user):
        raise Http404
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            project = projects.create_project(by=request.user, **form.cleaned_data)
        except projects.ProjectRefused as refusal:
            _tell(form, refusal)
        else:
            messages.success(request, _("The project is there. Now give it prompts."))
            return redirect("prompt-import", project.slug)
    return render(request, "labeling/project_create.html", {"form": form}, status=_status(form))


@signed_in
@require_GET
def project(request: SignedIn, slug: str) -> HttpResponse:
    """Where a project begins for this person: the overview, the ranking page, or its prompts."""
    found = project_for(request, slug)
    role = role_in(found, request.user)
    if role not in READERS:
        return redirect("rank", slug)
    try:
        return redirect(reverse("overview", args=[slug]))
    except NoReverseMatch:
        return redirect("prompt-list", slug)


@signed_in
@require_http_methods(["GET", "POST"])
def project_settings(request: SignedIn, slug: str) -> HttpResponse:
    """Change a project; slates that exist stay as they were made."""
    found = project_for(request, slug, Role.MANAGER)
    form = ProjectForm(request.POST or None, instance=project_for(request, slug, Role.MANAGER))
    if request.method == "POST" and form.is_valid():
        changes = {name: form.cleaned_data[name] for name in form.changed_data}
        try:
            projects.update_project(project=found, by=request.user, **changes)
        except projects.ProjectRefused as refusal:
            _tell(form, refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("project-settings", slug)
    page = {"project": found, "form": form}
    return render(request, "labeling/project_settings.html", page, status=_status(form))


@signed_in
@require_POST
def project_archive(request: SignedIn, slug: str) -> HttpResponse:
    """Put a project away, or take it out again."""
    found = project_for(request, slug, Role.MANAGER)
    if found.archived_at is None:
        projects.archive_project(project=found)
        messages.success(request, _("The project is archived. All of it can still be read."))
    else:
        projects.restore_project(project=found)
        messages.success(request, _("The project is restored."))
    return redirect("project-settings", slug)


def _tell(form: ProjectForm, refusal: projects.ProjectRefused) -> None:
    """Put what the verb refused beside its fields."""
    for field, texts in refusal.fields.items():
        form.add_error(field if field in form.fields else None, list(texts))


def _status(form: ProjectForm) -> int:
    """400 where the form comes back with errors."""
    return 400 if form.errors else 200
