"""Runs over REST: the queue, one run with its curves, start, cancel, resume."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.pagination import NewestFirst
from labeling.api.permissions import MANAGERS, ProjectView, Rule, Scope
from labeling.models import READERS
from training import runs, single_runs
from training.full_disk import full_disk_refused
from training.models import Run
from training.queue_places import place_of_run


class RunErrorSerializer(serializers.Serializer[Any]):
    """Why a run failed."""

    code = serializers.CharField()
    detail = serializers.CharField()
    values = serializers.DictField()


class RunSerializer(serializers.ModelSerializer[Run]):
    """A run as lists show it."""

    round = serializers.IntegerField(
        source="round.number", default=None, allow_null=True, help_text="The round's number."
    )
    error = serializers.SerializerMethodField()

    class Meta:
        model = Run
        fields = [
            "id",
            "kind",
            "state",
            "round",
            "repeats",
            "step",
            "total_steps",
            "seconds_left",
            "created_at",
            "started_at",
            "finished_at",
            "cancel_requested_at",
            "error",
        ]
        read_only_fields = fields

    @extend_schema_field(RunErrorSerializer(allow_null=True))
    def get_error(self, run: Run) -> dict[str, Any] | None:
        """A code for programs, a sentence for people."""
        if not run.error_code:
            return None
        detail = runs.describe_error(run)
        return {"code": run.error_code, "detail": detail, "values": run.error_values}


class RunDetailSerializer(RunSerializer):
    """A run with what it is made of and what it reported."""

    config = serializers.DictField(help_text="Frozen when the run was created.")
    queue_position = serializers.SerializerMethodField()
    datasets = serializers.SerializerMethodField()
    checkpoint = serializers.IntegerField(
        source="checkpoint.pk", default=None, allow_null=True, help_text="What it made."
    )
    metrics = serializers.SerializerMethodField(help_text="By name: [[step, value], …].")
    results = serializers.SerializerMethodField(help_text="Final numbers by name.")

    class Meta(RunSerializer.Meta):
        fields = [
            *RunSerializer.Meta.fields,
            "config",
            "base",
            "start",
            "deployed",
            "reward",
            "judge",
            "datasets",
            "checkpoint",
            "queue_position",
            "metrics",
            "results",
            "log_tail",
        ]
        read_only_fields = fields

    def get_queue_position(self, run: Run) -> int | None:
        """1 for the run that is taken up next."""
        place = place_of_run(run)
        return place.number if place is not None else None

    def get_datasets(self, run: Run) -> list[int]:
        """Ids of what it was trained on."""
        return sorted(run.datasets.values_list("pk", flat=True))

    def get_metrics(self, run: Run) -> dict[str, list[tuple[int, float]]]:
        """The curves, each by step."""
        curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for name, step, value in run.metrics.order_by("name", "step").values_list(
            "name", "step", "value"
        ):
            curves[name].append((step, value))
        return curves

    def get_results(self, run: Run) -> dict[str, float]:
        """Empty before the end."""
        return runs.results_of(run)


class NewRunSerializer(serializers.Serializer[Any]):
    """A run to be started: of a kind, or once more with changes."""

    kind = serializers.ChoiceField(choices=Run.Kind.choices, required=False)
    repeats = serializers.IntegerField(
        required=False, min_value=1, help_text="Id of a run to do again, instead of a kind."
    )
    changes = serializers.DictField(
        required=False, default=dict, help_text='Fields of the config, like {"episodes": 256}.'
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of the two."""
        if ("kind" in attrs) == ("repeats" in attrs):
            raise serializers.ValidationError(
                {"kind": [_("Name either a kind or a run to repeat.")]}
            )
        return attrs


class RunFilter(django_filters.FilterSet):  # type: ignore[misc]  # untyped library
    """`?state=running&kind=ppo`"""

    state = django_filters.ChoiceFilter(choices=Run.State.choices)
    kind = django_filters.ChoiceFilter(choices=Run.Kind.choices)


class RunView(ProjectView):
    """What the addresses of runs share."""

    serializer_class = RunSerializer
    queryset = Run.objects.none()

    def get_queryset(self) -> QuerySet[Run]:
        """The project's runs."""
        rows = Run.objects.visible_to(self.user).filter(project=self.project)
        return rows.select_related("round")

    def run(self, pk: int) -> Run:
        """One of them. Raises Http404."""
        return get_object_or_404(self.get_queryset(), pk=pk)


class RunListView(RunView):
    """/projects/<slug>/runs/"""

    rules = {
        "GET": Rule(scope=Scope.READ, roles=READERS),
        "POST": Rule(scope=Scope.TRAIN, roles=MANAGERS),
    }
    pagination_class = NewestFirst
    filterset_class = RunFilter

    @extend_schema(operation_id="runs_list", responses=RunSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """Runs, the newest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="runs_start", request=NewRunSerializer, responses={201: RunDetailSerializer}
    )
    def post(self, request: Request, slug: str) -> Response:
        """Queue a run on the newest of what it needs, or an earlier one again with changes."""
        body = NewRunSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        if "repeats" in wanted:
            run = runs.repeat_run(
                run=self.run(wanted["repeats"]), changes=wanted["changes"], by=self.user
            )
        else:
            with full_disk_refused():
                run = single_runs.start_run(
                    project=self.project,
                    kind=wanted["kind"],
                    by=self.user,
                    changes=wanted["changes"],
                )
        return Response(RunDetailSerializer(run).data, status=status.HTTP_201_CREATED)


class RunDetailView(RunView):
    """/projects/<slug>/runs/<pk>/"""

    rules = {"GET": Rule(scope=Scope.READ, roles=READERS)}
    serializer_class = RunDetailSerializer

    @extend_schema(operation_id="runs_read")
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """One run with its config, curves, results and the log's last lines."""
        return Response(self.get_serializer(self.run(pk)).data)


class RunCancelView(RunView):
    """/projects/<slug>/runs/<pk>/cancel/"""

    rules = {"POST": Rule(scope=Scope.TRAIN, roles=MANAGERS)}

    @extend_schema(operation_id="runs_cancel", request=None, responses={202: RunSerializer})
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Ask for an end: a running one ends within half a minute; what it saved is kept."""
        run = runs.cancel_run(run=self.run(pk))
        return Response(self.get_serializer(run).data, status=status.HTTP_202_ACCEPTED)


class RunResumeView(RunView):
    """/projects/<slug>/runs/<pk>/resume/"""

    rules = {"POST": Rule(scope=Scope.TRAIN, roles=MANAGERS)}

    @extend_schema(operation_id="runs_resume", request=None, responses={202: RunSerializer})
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Queue a failed or cancelled run again; it goes on from its last saved state."""
        run = runs.resume_run(run=self.run(pk))
        return Response(self.get_serializer(run).data, status=status.HTTP_202_ACCEPTED)
