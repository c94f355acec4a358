"""Completions over REST, with the source and the sampling of each."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.pagination import OldestFirst
from labeling.api.permissions import ProjectView, Rule, Scope
from labeling.models import READERS, Completion, Source


class SourceSerializer(serializers.ModelSerializer[Source]):
    """Who wrote it."""

    class Meta:
        model = Source
        fields = ["id", "kind", "name"]


class CompletionSerializer(serializers.ModelSerializer[Completion]):
    """A text written for a prompt."""

    source = SourceSerializer()  # type: ignore[assignment]  # DRF takes a field of any name

    class Meta:
        model = Completion
        fields = ["id", "prompt", "source", "text", "finished", "tokens", "sampling", "created_at"]
        read_only_fields = fields


class CompletionFilter(django_filters.FilterSet):  # type: ignore[misc]  # untyped library
    """`?prompt=12&source=3`"""

    prompt = django_filters.NumberFilter(field_name="prompt_id")
    source = django_filters.NumberFilter(field_name="source_id")


class CompletionListView(ProjectView):
    """/projects/<slug>/completions/"""

    rules = {"GET": Rule(scope=Scope.READ, roles=READERS)}
    serializer_class = CompletionSerializer
    pagination_class = OldestFirst
    filterset_class = CompletionFilter
    queryset = Completion.objects.none()

    def get_queryset(self) -> QuerySet[Completion]:
        """Completions of the project's live prompts."""
        rows = Completion.objects.visible_to(self.user).filter(prompt__project=self.project)
        return rows.select_related("source")

    @extend_schema(operation_id="completions_list", responses=CompletionSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """What was written, the oldest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)
