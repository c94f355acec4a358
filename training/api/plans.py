"""The plan over REST: when the project trains by itself, and what a deployment must meet."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.permissions import MANAGERS, ProjectView, Rule, Scope
from labeling.models import READERS
from training import plans
from training.models import Plan


class PlanSerializer(serializers.ModelSerializer[Plan]):
    """Training rules, presets and gate."""

    overrides = serializers.JSONField(
        required=False, help_text='By recipe, for example {"ppo": {"episodes": 256}}.'
    )

    class Meta:
        model = Plan
        fields = list(plans.FIELDS)


class PlanView(ProjectView):
    """/projects/<slug>/plan/"""

    rules = {
        "GET": Rule(scope=Scope.READ, roles=READERS),
        "PATCH": Rule(scope=Scope.TRAIN, roles=MANAGERS),
    }
    serializer_class = PlanSerializer
    queryset = Plan.objects.none()

    @extend_schema(operation_id="plan_read")
    def get(self, request: Request, slug: str) -> Response:
        """The project's plan."""
        return Response(self.get_serializer(plans.plan_of(self.project)).data)

    @extend_schema(operation_id="plan_update")
    def patch(self, request: Request, slug: str) -> Response:
        """Change what you name; the rest stays. The next round goes by it."""
        body = self.get_serializer(plans.plan_of(self.project), data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        plan = plans.update_plan(project=self.project, **body.validated_data)
        return Response(self.get_serializer(plan).data)
