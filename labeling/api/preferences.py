"""Preferences over REST: one long answer, written page by page in constant memory."""

from __future__ import annotations

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from labeling import comparisons
from labeling.api.permissions import ProjectView, Rule, Scope
from labeling.downloads import download
from labeling.formats.preferences import FORMS
from labeling.models import READERS, Purpose, Ranking, Split


class ExportSerializer(serializers.Serializer[None]):
    """What may stand in the address."""

    form = serializers.ChoiceField(
        choices=list(FORMS),
        default="pairs",
        help_text="pairs: chosen and rejected with their sources; trl: nothing but TRL's three "
        "fields; rankings: whole rankings, as a run directory takes them. All but trl carry the "
        "labeler's weight.",
    )
    split = serializers.ChoiceField(choices=Split.choices, required=False)
    purpose = serializers.ChoiceField(choices=Purpose.choices, default=Purpose.TRAINING)


class PreferenceExportView(ProjectView):
    """/projects/<slug>/preferences.jsonl"""

    rules = {"GET": Rule(scope=Scope.READ, roles=READERS)}
    serializer_class = ExportSerializer
    queryset = Ranking.objects.none()

    @extend_schema(
        operation_id="preferences_export",
        parameters=[ExportSerializer],
        responses={(200, "application/jsonl"): OpenApiTypes.STR},
    )
    def get(self, request: Request, slug: str) -> HttpResponseBase:
        """All rankings that stand now, as JSON Lines. `datasets` and TRL load it as it is.

        `weight`, on each pair and each ranking, is how much the labeler's work counts in training
        now: from 0 (not at all; such rows are here all the same, and runs pass over them) to 1 (in
        full). A project's managers set it.
        """
        query = self.get_serializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        wanted = query.validated_data
        rows = comparisons.exportable(
            project=self.project, purposes=[wanted["purpose"]], split=wanted.get("split")
        )
        lines = FORMS[wanted["form"]](comparisons.ranked_slates(rows))
        return download(lines, name=f"{self.project.slug}-{wanted['form']}.jsonl")
