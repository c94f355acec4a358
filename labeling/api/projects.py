"""Projects over REST: which ones the token reaches, their settings, new ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from labeling import projects
from labeling.api.pagination import OldestFirst
from labeling.api.permissions import (
    MANAGERS,
    ProjectView,
    Rule,
    RuledView,
    Scope,
    token_of,
    visible_projects,
)
from labeling.models import Project, Role


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project, how it samples, and what it asks labelers beside the ranks."""

    guidelines = serializers.CharField(
        source="guidelines_text",
        required=False,
        allow_blank=True,
        max_length=100_000,
        help_text="Markdown. A change makes a new version, which labelers read before they go on.",
    )

    class Meta:
        model = Project
        fields = ["slug", "guidelines", *projects.EDITABLE, "created_at", "archived_at"]
        read_only_fields = ["slug", "created_at", "archived_at"]


def _settings(sent: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent, by the names that the verbs know."""
    return {"guidelines" if name == "guidelines_text" else name: sent[name] for name in sent}


class ProjectListView(RuledView):
    """/projects/"""

    rules = {"GET": Rule(scope=Scope.READ), "POST": Rule(scope=Scope.WRITE)}
    serializer_class = ProjectSerializer
    pagination_class = OldestFirst
    queryset = Project.objects.none()

    @extend_schema(operation_id="projects_list", responses=ProjectSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The projects that you are a member of."""
        page = self.paginate_queryset(visible_projects(request)) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(operation_id="projects_create", responses={201: ProjectSerializer})
    def post(self, request: Request) -> Response:
        """Make a project; you become its manager. For those who manage one already."""
        if token_of(request).project_id is not None:
            raise PermissionDenied(_("This token is for one project only."), "token_of_one_project")
        if not visible_projects(request, Role.MANAGER).exists() and not self.user.is_superuser:
            raise PermissionDenied(_("Only managers may create projects."), "role_missing")
        body = self.get_serializer(data=request.data)
        body.is_valid(raise_exception=True)
        project = projects.create_project(by=self.user, **_settings(body.validated_data))
        return Response(self.get_serializer(project).data, status=status.HTTP_201_CREATED)


class ProjectDetailView(ProjectView):
    """/projects/<slug>/"""

    rules = {
        "GET": Rule(scope=Scope.READ),
        "PATCH": Rule(scope=Scope.WRITE, roles=MANAGERS),
    }
    serializer_class = ProjectSerializer
    queryset = Project.objects.none()

    @extend_schema(operation_id="projects_read")
    def get(self, request: Request, slug: str) -> Response:
        """One project."""
        return Response(self.get_serializer(self.project).data)

    @extend_schema(operation_id="projects_update")
    def patch(self, request: Request, slug: str) -> Response:
        """Change what you name; the rest stays."""
        body = self.get_serializer(self.project, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        changes = _settings(body.validated_data)
        project = projects.update_project(project=self.project, by=self.user, **changes)
        return Response(self.get_serializer(project).data)
