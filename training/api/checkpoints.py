"""Checkpoints over REST, with the ids that lead from each back to the rankings that made it."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.pagination import NewestFirst
from labeling.api.permissions import ProjectView, Rule, Scope
from labeling.models import READERS
from training.models import Checkpoint


class CheckpointSerializer(serializers.ModelSerializer[Checkpoint]):
    """A base, a policy, a reward model or a judge, and what it grew from."""

    name = serializers.CharField(source="__str__", help_text="For people: “Policy 3”.")
    reward = serializers.IntegerField(
        source="run.reward_id", default=None, allow_null=True, help_text="What rewarded it."
    )
    datasets = serializers.SerializerMethodField(help_text="Datasets of the run that made it.")

    class Meta:
        model = Checkpoint
        fields = [
            "id",
            "name",
            "kind",
            "version",
            "run",
            "base",
            "started_from",
            "reward",
            "datasets",
            "source",
            "sha256",
            "created_at",
            "files_removed_at",
        ]
        read_only_fields = fields

    def get_datasets(self, checkpoint: Checkpoint) -> list[int]:
        """Ids, in order; none for a base that came from outside."""
        run = checkpoint.run
        return sorted(dataset.pk for dataset in run.datasets.all()) if run else []


class CheckpointListView(ProjectView):
    """/projects/<slug>/checkpoints/"""

    rules = {"GET": Rule(scope=Scope.READ, roles=READERS)}
    serializer_class = CheckpointSerializer
    pagination_class = NewestFirst
    queryset = Checkpoint.objects.none()

    def get_queryset(self) -> QuerySet[Checkpoint]:
        """The project's checkpoints with what their lineage needs."""
        rows = Checkpoint.objects.visible_to(self.user).filter(project=self.project)
        return rows.select_related("run").prefetch_related("run__datasets")

    @extend_schema(operation_id="checkpoints_list", responses=CheckpointSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """Model versions, the newest first."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)
