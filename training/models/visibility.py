"""Which rows of the trainer a person sees: those of the projects that the person sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from django.db import models

from labeling.models import Project, Role, User

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

Row = TypeVar("Row", bound=models.Model)


class ProjectRows(models.QuerySet[Row]):
    """Rows that belong to a project; every view's and endpoint's set starts at `visible_to`."""

    to_project: ClassVar[str] = "project"
    """Lookup that leads from a row to its project."""

    def visible_to(self, user: User | AnonymousUser, *roles: Role | str) -> Self:
        """Rows of projects in which `user` has one of `roles` (any role where none is named)."""
        projects = Project.objects.visible_to(user, *roles)
        return self.filter(**{f"{self.to_project}__in": projects})
