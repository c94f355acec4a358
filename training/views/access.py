"""Who may open a training page, and who may press its buttons.

Managers read and act, researchers read; for everybody else these pages do not exist (404).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.shortcuts import get_object_or_404

from labeling.models import Project, Role

if TYPE_CHECKING:
    from django.http import HttpRequest

READERS = (Role.MANAGER, Role.RESEARCHER)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A project as the person who asks sees it."""

    project: Project
    can_act: bool


def place_of(request: HttpRequest, slug: str) -> Place:
    """The project behind a training page. 404 for whoever is neither manager nor researcher."""
    project = get_object_or_404(Project.objects.visible_to(request.user, *READERS), slug=slug)
    managed = Project.objects.visible_to(request.user, Role.MANAGER).filter(pk=project.pk)
    return Place(project=project, can_act=managed.exists())


def managed_project(request: HttpRequest, slug: str) -> Project:
    """The project behind an action. 404 for whoever is not a manager."""
    return get_object_or_404(Project.objects.visible_to(request.user, Role.MANAGER), slug=slug)
