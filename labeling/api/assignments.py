"""Assignments over REST: take the next one, keep it while at work, pass on it."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling import assignments, leasing
from labeling.api.permissions import ProjectView, Rule, Scope
from labeling.api.prompts import MessageSerializer
from labeling.hidden_numbers import Of, hidden
from labeling.models import RANKERS, Assignment


class ShownCompletionSerializer(serializers.Serializer[Any]):
    """A completion as a labeler sees it: who wrote it stays hidden."""

    id = serializers.IntegerField()
    text = serializers.CharField()
    finished = serializers.BooleanField(help_text="False: it was cut at the token limit.")


class AssignmentSerializer(serializers.Serializer[Any]):
    """A prompt with its completions in this labeler's order, and the lease that holds it."""

    id = serializers.IntegerField()
    lease = serializers.UUIDField(help_text="Send it along with the ranking.")
    expires_at = serializers.DateTimeField(help_text="Renew it before, or others may get it.")
    prompt = MessageSerializer(many=True)
    completions = ShownCompletionSerializer(many=True)


class SkipSerializer(serializers.Serializer[Any]):
    """Why a labeler passes on a prompt."""

    lease = serializers.UUIDField(
        required=False, default=None, help_text="Needed only once somebody else has the prompt."
    )
    reason = serializers.CharField(required=False, allow_blank=True, max_length=200, default="")


class LeaseSerializer(serializers.Serializer[Any]):
    """The lease that `next/` gave."""

    lease = serializers.UUIDField()


class ExpirySerializer(serializers.Serializer[Any]):
    """When the lease ends now."""

    expires_at = serializers.DateTimeField()


class AssignmentView(ProjectView):
    """What the addresses of assignments share."""

    rules = {"POST": Rule(scope=Scope.WRITE, roles=RANKERS)}
    queryset = Assignment.objects.none()

    def assignment(self, pk: int) -> Assignment:
        """One of the project's assignments. Raises Http404."""
        rows = Assignment.objects.visible_to(self.user).filter(project=self.project)
        return get_object_or_404(rows, pk=pk)


class AssignmentNextView(AssignmentView):
    """/projects/<slug>/assignments/next/"""

    serializer_class = AssignmentSerializer

    @extend_schema(
        operation_id="assignments_next",
        request=None,
        responses={
            200: AssignmentSerializer,
            204: OpenApiResponse(description="Nothing is ready."),
        },
    )
    def post(self, request: Request, slug: str) -> Response:
        """Take the next prompt to rank; the same one comes back until it is done or skipped."""
        assignment = leasing.lease_next(project=self.project, labeler=self.user)
        if assignment is None:
            return Response(status=status.HTTP_204_NO_CONTENT)
        shown = [
            {
                "id": self.shown_id(Of.COMPLETION, completion.pk),
                "text": completion.text,
                "finished": completion.finished,
            }
            for completion in assignments.shown(assignment)
        ]
        return Response(
            {
                "id": hidden(Of.ASSIGNMENT, assignment.pk),
                "lease": str(assignment.lease_token),
                "expires_at": assignment.lease_expires_at,
                "prompt": assignment.slate.prompt.messages,
                "completions": shown,
            }
        )


class AssignmentRenewView(AssignmentView):
    """/projects/<slug>/assignments/<pk>/renew/"""

    serializer_class = LeaseSerializer

    @extend_schema(
        operation_id="assignments_renew", request=LeaseSerializer, responses=ExpirySerializer
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Keep the lease while you are at work. 409 where somebody else has taken it over."""
        assignment = self.assignment(pk)
        body = self.get_serializer(data=request.data)
        body.is_valid(raise_exception=True)
        expires_at = assignments.renew(
            assignment=assignment,
            labeler=self.user,
            token=body.validated_data["lease"],
        )
        return Response({"expires_at": expires_at})


class AssignmentSkipView(AssignmentView):
    """/projects/<slug>/assignments/<pk>/skip/"""

    serializer_class = SkipSerializer

    @extend_schema(operation_id="assignments_skip", request=SkipSerializer, responses={204: None})
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Pass on it: you are not offered this prompt again, others are. Twice is once."""
        assignment = self.assignment(pk)
        body = self.get_serializer(data=request.data)
        body.is_valid(raise_exception=True)
        assignments.skip(
            assignment=assignment,
            labeler=self.user,
            token=body.validated_data["lease"],
            reason=body.validated_data["reason"],
        )
        return Response(status=status.HTTP_204_NO_CONTENT)
