"""Rounds over REST: every turn of the loop, and the button that starts one."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.pagination import NewestFirst
from labeling.api.permissions import MANAGERS, ProjectView, Rule, Scope
from labeling.models import READERS
from training import rounds
from training.api.evaluations import EvaluationSerializer
from training.api.runs import RunSerializer
from training.models import Round


class RoundSerializer(serializers.ModelSerializer[Round]):
    """One turn of the loop."""

    class Meta:
        model = Round
        fields = [
            "number",
            "state",
            "step",
            "trigger",
            "rankings_at_start",
            "rankings_needed",
            "freeze_problem",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields


class RoundDetailSerializer(RoundSerializer):
    """A round with its runs and what the evaluation found."""

    runs = RunSerializer(many=True)
    evaluations = EvaluationSerializer(many=True)

    class Meta(RoundSerializer.Meta):
        fields = [*RoundSerializer.Meta.fields, "datasets", "runs", "evaluations"]
        read_only_fields = fields


class RoundView(ProjectView):
    """What the addresses of rounds share."""

    serializer_class = RoundSerializer
    queryset = Round.objects.none()

    def get_queryset(self) -> QuerySet[Round]:
        """The project's rounds."""
        return Round.objects.visible_to(self.user).filter(project=self.project)


class RoundListView(RoundView):
    """/projects/<slug>/rounds/"""

    rules = {
        "GET": Rule(scope=Scope.READ, roles=READERS),
        "POST": Rule(scope=Scope.TRAIN, roles=MANAGERS),
    }
    pagination_class = NewestFirst

    @extend_schema(operation_id="rounds_list", responses=RoundSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """Rounds, the newest first."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(operation_id="rounds_start", request=None, responses={201: RoundSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Start a round; its datasets are frozen next. 409 while another one is under way."""
        round_ = rounds.start_round(project=self.project, by=self.user)
        return Response(self.get_serializer(round_).data, status=status.HTTP_201_CREATED)


class RoundDetailView(RoundView):
    """/projects/<slug>/rounds/<number>/"""

    rules = {"GET": Rule(scope=Scope.READ, roles=READERS)}
    serializer_class = RoundDetailSerializer

    @extend_schema(operation_id="rounds_read")
    def get(self, request: Request, slug: str, number: int) -> Response:
        """One round with its runs and evaluation."""
        rows = self.get_queryset().prefetch_related("runs__round", "evaluations__round", "datasets")
        round_ = get_object_or_404(rows, number=number)
        return Response(self.get_serializer(round_).data)
