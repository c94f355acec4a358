"""Evaluations over REST: the numbers, what the gate says of them, the texts side by side."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.pagination import NewestFirst, OldestFirst
from labeling.api.permissions import ProjectView, Rule, Scope
from labeling.api.prompts import MessageSerializer
from labeling.models import READERS
from training.evaluations import NUMBERS
from training.gate import gate_of
from training.models import Evaluation, EvaluationText


class EvaluationSerializer(serializers.ModelSerializer[Evaluation]):
    """A new policy beside the deployed one and the base, by the judge."""

    round = serializers.IntegerField(source="round.number", default=None, allow_null=True)

    class Meta:
        model = Evaluation
        fields = [
            "id",
            "run",
            "round",
            "candidate",
            "deployed",
            "look",
            "prompts",
            *NUMBERS,
            "created_at",
        ]
        read_only_fields = fields


class WinRateSerializer(serializers.Serializer[Any]):
    """What labelers said blindly: ties count one half."""

    rate = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    prompts = serializers.IntegerField()
    comparisons = serializers.IntegerField()


class GatePointSerializer(serializers.Serializer[Any]):
    """One thing that must hold."""

    name = serializers.CharField()
    holds = serializers.BooleanField()
    sentence = serializers.CharField()


class GateSerializer(serializers.Serializer[Any]):
    """What must hold for a deployment by itself."""

    holds = serializers.BooleanField()
    judged_by = serializers.ChoiceField(choices=["judge", "labelers"])
    points = GatePointSerializer(many=True)


class EvaluationDetailSerializer(EvaluationSerializer):
    """An evaluation with the labelers' blind votes and the gate."""

    blind = WinRateSerializer(allow_null=True)
    gate = GateSerializer()

    class Meta(EvaluationSerializer.Meta):
        fields = [*EvaluationSerializer.Meta.fields, "blind", "gate"]
        read_only_fields = fields

    def to_representation(self, instance: Evaluation) -> dict[str, Any]:
        """The list's fields, then the votes and the gate, which are counted now."""
        gate = gate_of(instance)
        points = [dataclasses.asdict(point) for point in gate.points]
        return {
            **EvaluationSerializer(instance).data,
            "blind": dataclasses.asdict(gate.blind) if gate.blind is not None else None,
            "gate": {"holds": gate.holds, "judged_by": gate.judged_by, "points": points},
        }


class EvaluationTextSerializer(serializers.ModelSerializer[EvaluationText]):
    """One prompt's texts and their scores by the judge. `deployed` null: that was the base."""

    messages = MessageSerializer(source="prompt.messages", many=True)

    class Meta:
        model = EvaluationText
        fields = [
            "id",
            "prompt",
            "messages",
            "candidate",
            "deployed",
            "base",
            "candidate_score",
            "deployed_score",
            "base_score",
        ]
        read_only_fields = fields


class EvaluationView(ProjectView):
    """What the addresses of evaluations share."""

    rules = {"GET": Rule(scope=Scope.READ, roles=READERS)}
    queryset = Evaluation.objects.none()

    def evaluations(self) -> QuerySet[Evaluation]:
        """The project's evaluations."""
        rows = Evaluation.objects.visible_to(self.user).filter(run__project=self.project)
        return rows.select_related("round")


class EvaluationListView(EvaluationView):
    """/projects/<slug>/evaluations/"""

    serializer_class = EvaluationSerializer
    pagination_class = NewestFirst

    @extend_schema(operation_id="evaluations_list", responses=EvaluationSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """Evaluations, the newest first."""
        page = self.paginate_queryset(self.evaluations()) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class EvaluationDetailView(EvaluationView):
    """/projects/<slug>/evaluations/<pk>/"""

    serializer_class = EvaluationDetailSerializer

    @extend_schema(operation_id="evaluations_read")
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """One evaluation, with what the gate says of it."""
        evaluation = get_object_or_404(self.evaluations().select_related("run__project"), pk=pk)
        return Response(self.get_serializer(evaluation).data)


class EvaluationTextListView(EvaluationView):
    """/projects/<slug>/evaluations/<pk>/texts/"""

    serializer_class = EvaluationTextSerializer
    pagination_class = OldestFirst

    @extend_schema(operation_id="evaluations_texts", responses=EvaluationTextSerializer(many=True))
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """The texts side by side, a page at a time."""
        evaluation = get_object_or_404(self.evaluations(), pk=pk)
        rows = EvaluationText.objects.filter(evaluation=evaluation).select_related("prompt")
        page = self.paginate_queryset(rows) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)
