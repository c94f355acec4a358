"""Prompts over REST: read them page by page, add up to 1,000 at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling import prompts
from labeling.api.pagination import OldestFirst
from labeling.api.permissions import MANAGERS, ProjectView, Rule, Scope
from labeling.models import READERS, Prompt, Split

MOST_ROWS = 1000
MOST_ERRORS = 100


class MessageSerializer(serializers.Serializer[Any]):
    """One turn of a conversation."""

    role = serializers.ChoiceField(choices=["system", "user", "assistant"])
    content = serializers.CharField()


class PromptSerializer(serializers.ModelSerializer[Prompt]):
    """A conversation that ends with the user's turn; never changed once stored."""

    messages = MessageSerializer(many=True)

    class Meta:
        model = Prompt
        fields = [
            "id",
            "messages",
            "category",
            "group",
            "kind",
            "language",
            "split",
            "priority",
            "created_at",
        ]
        read_only_fields = fields

    def to_representation(self, instance: Prompt) -> dict[str, Any]:
        """The stored messages as they are: they were checked when they came in."""
        return {
            "id": instance.pk,
            "messages": instance.messages,
            "category": instance.category,
            "group": instance.group,
            "kind": instance.kind,
            "language": instance.language,
            "split": instance.split,
            "priority": instance.priority,
            "created_at": instance.created_at,
        }


class PromptRowSerializer(serializers.Serializer[Any]):
    """A prompt to be added: `prompt` (a text) or `messages`."""

    prompt = serializers.CharField(required=False, help_text="One user turn.")
    messages = MessageSerializer(many=True, required=False)
    category = serializers.CharField(required=False, max_length=60)
    group = serializers.CharField(
        required=False, max_length=120, help_text="Near-duplicates of one group share a split."
    )
    priority = serializers.IntegerField(required=False, help_text="Higher comes first.")
    kind = serializers.ChoiceField(
        required=False, choices=Prompt.Kind.choices, help_text="How a labeler wrote it."
    )
    language = serializers.CharField(
        required=False,
        max_length=12,
        help_text="As in BCP 47, for example “de” or “zh-Hans”. Left out: for everybody.",
    )


class AddedSerializer(serializers.Serializer[Any]):
    """What became of the rows."""

    added = serializers.IntegerField()
    duplicates = serializers.IntegerField(help_text="Were there already; nothing was changed.")
    unused = serializers.ListField(
        child=serializers.CharField(),
        help_text="Names of fields of which nothing was made: perhaps misspelt.",
    )


class PromptFilter(django_filters.FilterSet):  # type: ignore[misc]  # untyped library
    """`?split=train&category=brainstorming`"""

    split = django_filters.ChoiceFilter(choices=Split.choices)
    category = django_filters.CharFilter()


ROWS = PolymorphicProxySerializer(
    component_name="PromptRows",
    serializers=[PromptRowSerializer, PromptRowSerializer(many=True)],
    resource_type_field_name=None,
    many=False,
)


class PromptListView(ProjectView):
    """/projects/<slug>/prompts/"""

    rules = {
        "GET": Rule(scope=Scope.READ, roles=READERS),
        "POST": Rule(scope=Scope.WRITE, roles=MANAGERS),
    }
    serializer_class = PromptSerializer
    pagination_class = OldestFirst
    filterset_class = PromptFilter
    queryset = Prompt.objects.none()

    def get_queryset(self) -> QuerySet[Prompt]:
        """The project's live prompts."""
        return Prompt.objects.visible_to(self.user).filter(project=self.project)

    @extend_schema(operation_id="prompts_list", responses=PromptSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """Prompts in the order they came."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="prompts_add",
        request=ROWS,
        responses={201: AddedSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Add one row, or a list of up to 1,000; all or none. Prompts you know are counted."""
        rows = request.data if isinstance(request.data, list) else [request.data]
        if not 1 <= len(rows) <= MOST_ROWS:
            message = _("Send 1 to %(most)d rows at a time.") % {"most": MOST_ROWS}
            raise serializers.ValidationError({"rows": [message]}, code="bad_count")
        checked, faults = _checked(rows)
        if faults:
            return Response(_complaint(faults, len(rows)), status=status.HTTP_400_BAD_REQUEST)
        added = prompts.add_prompts(project=self.project, rows=checked, by=self.user)
        body = {
            "added": added.added,
            "duplicates": added.duplicates,
            "unused": _unused(rows),
        }
        return Response(body, status=status.HTTP_201_CREATED)


def _checked(rows: Iterable[Any]) -> tuple[list[prompts.NewPrompt], list[dict[str, Any]]]:
    """The rows that can be added, and what is wrong with the others, by index."""
    checked, faults = [], []
    for index, row in enumerate(rows):
        try:
            checked.append(prompts.new_prompt(_object(row)))
        except prompts.PromptRefused as refusal:
            where = {"field": refusal.field} if refusal.field else {}
            faults.append({"index": index, "code": refusal.code, "detail": refusal.message} | where)
    return checked, faults


def _unused(rows: Iterable[Mapping[str, object]]) -> list[str]:
    """The names of the fields that no row needed, each once."""
    unused = (name for row in rows for name in prompts.unused_in_prompt(row) if name)
    return list(dict.fromkeys(map(prompts.field_name, unused)))[: prompts.MAX_UNUSED]


def _object(row: Any) -> Mapping[str, object]:
    if not isinstance(row, Mapping):
        raise prompts.PromptRefused("", _('a row is an object like {"prompt": "…"}'))
    return row


def _complaint(faults: list[dict[str, Any]], total: int) -> dict[str, Any]:
    detail = ngettext(
        "%(bad)d of %(total)d rows is not a prompt; nothing was added.",
        "%(bad)d of %(total)d rows are not prompts; nothing was added.",
        len(faults),
    ) % {"bad": len(faults), "total": total}
    return {"code": "rows_refused", "detail": detail, "errors": faults[:MOST_ERRORS]}
