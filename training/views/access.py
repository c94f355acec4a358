"""Who may open a training page, and who may press its buttons.

Managers read and act; researchers and reviewers read; for labelers these pages do not exist (404),
so that a blind comparison stays blind.
"""

from __future__ import annotations

from dataclasses import dataclass

from labeling.models import READERS, Project, Role
from labeling.views.access import SignedIn, project_for, role_in, signed_in

__all__ = ["Place", "SignedIn", "managed_project", "place_of", "signed_in", "whole_number"]


LONGEST_NUMBER = 18
"""Digits; a longer number is no id, and no database column holds it."""


def whole_number(text: str) -> int | None:
    """A number from a form or query string; None where it is none or no id could be so big."""
    is_one = text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER
    return int(text) if is_one else None


@dataclass(frozen=True, kw_only=True)
class Place:
    """A project as the person who asks sees it."""

    project: Project
    can_act: bool


def place_of(request: SignedIn, slug: str) -> Place:
    """The project behind a page. Raises Http404 for whoever may not read it."""
    project = project_for(request, slug, *READERS)
    return Place(project=project, can_act=role_in(project, request.user) == Role.MANAGER)


def managed_project(request: SignedIn, slug: str) -> Project:
    """The project behind an action. Raises Http404 for whoever is not a manager."""
    return project_for(request, slug, Role.MANAGER)
