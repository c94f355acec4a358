"""Deployments over REST: the history, deploy, roll back."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.pagination import NewestFirst
from labeling.api.permissions import MANAGERS, ProjectView, Rule, Scope
from labeling.models import READERS
from training import deployments
from training.models import Checkpoint, Deployment


class DeploymentSerializer(serializers.ModelSerializer[Deployment]):
    """Which policy answered, from when to when."""

    deployed_by = serializers.CharField(
        source="deployed_by.username",
        default=None,
        allow_null=True,
        help_text="Null: the gate was met and the project deployed by itself.",
    )

    class Meta:
        model = Deployment
        fields = [
            "id",
            "checkpoint",
            "kind",
            "evaluation",
            "deployed_by",
            "deployed_at",
            "replaced_at",
        ]
        read_only_fields = fields


class NewDeploymentSerializer(serializers.Serializer[Any]):
    """A checkpoint to deploy, or a deployment to take back. A request sent twice acts once."""

    checkpoint = serializers.IntegerField(
        required=False, min_value=1, help_text="The id of the checkpoint that is to answer."
    )
    roll_back = serializers.IntegerField(
        required=False,
        min_value=1,
        help_text=(
            "The id of the deployment that answers now: the policy before it answers again. "
            "Where another one answers by now, nothing is changed (409)."
        ),
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of the two."""
        if ("checkpoint" in attrs) == ("roll_back" in attrs):
            message = _("Send a checkpoint to deploy, or as “roll_back” a deployment to take back.")
            raise serializers.ValidationError({"checkpoint": [message]})
        return attrs


class DeploymentListView(ProjectView):
    """/projects/<slug>/deployments/"""

    rules = {
        "GET": Rule(scope=Scope.READ, roles=READERS),
        "POST": Rule(scope=Scope.TRAIN, roles=MANAGERS),
    }
    serializer_class = DeploymentSerializer
    pagination_class = NewestFirst
    queryset = Deployment.objects.none()

    def get_queryset(self) -> QuerySet[Deployment]:
        """The project's deployments."""
        rows = Deployment.objects.visible_to(self.user).filter(project=self.project)
        return rows.select_related("deployed_by")

    @extend_schema(operation_id="deployments_list", responses=DeploymentSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """The history, the newest first; the one that answers now has no `replaced_at`."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="deployments_create",
        request=NewDeploymentSerializer,
        responses={201: DeploymentSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Let a checkpoint answer from now on, or take back the deployment that answers now."""
        body = NewDeploymentSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        if "roll_back" in body.validated_data:
            undone = body.validated_data["roll_back"]
            deployment = deployments.roll_back(project=self.project, by=self.user, undone=undone)
        else:
            rows = Checkpoint.objects.visible_to(self.user).filter(project=self.project)
            checkpoint = get_object_or_404(rows, pk=body.validated_data["checkpoint"])
            deployment = deployments.deploy(checkpoint=checkpoint, by=self.user)
        return Response(self.get_serializer(deployment).data, status=status.HTTP_201_CREATED)
