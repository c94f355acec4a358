"""Frozen datasets over REST: what a run was trained on, by its sum."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.pagination import NewestFirst
from labeling.api.permissions import ProjectView, Rule, Scope
from labeling.models import READERS
from training.models import Dataset


class DatasetSerializer(serializers.ModelSerializer[Dataset]):
    """Rows written once; the same selection gives the same bytes."""

    left_out = serializers.IntegerField(
        help_text="Rankings, decisions or demonstrations of people whose work counted nothing then."
    )

    class Meta:
        model = Dataset
        fields = ["id", "kind", "rows", "left_out", "sha256", "created_at"]
        read_only_fields = fields


class DatasetListView(ProjectView):
    """/projects/<slug>/datasets/"""

    rules = {"GET": Rule(scope=Scope.READ, roles=READERS)}
    serializer_class = DatasetSerializer
    pagination_class = NewestFirst
    queryset = Dataset.objects.none()

    def get_queryset(self) -> QuerySet[Dataset]:
        """The project's datasets."""
        found = Dataset.objects.visible_to(self.user).filter(project=self.project)
        return found.with_left_out()

    @extend_schema(operation_id="datasets_list", responses=DatasetSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """Frozen datasets, the newest first."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)
