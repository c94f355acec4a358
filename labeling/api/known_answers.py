"""Items with a known answer over REST: listed with how labelers do, added up to 1,000 at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling import known_answers
from labeling.api.pagination import OldestFirst
from labeling.api.permissions import MANAGERS, ProjectView, Rule, Scope
from labeling.api.prompts import MOST_ERRORS, MessageSerializer
from labeling.decisions import LONGEST_EXPLANATION
from labeling.models import KNOWN_ANSWERS, Purpose, Role, Slate
from labeling.prompts import PromptRefused

MAKERS = (Role.REVIEWER, Role.MANAGER)
PURPOSES = [(purpose.value, purpose.label) for purpose in KNOWN_ANSWERS]


class KnownAnswerSerializer(serializers.Serializer[Any]):
    """An item, its answer, and how labelers did on it."""

    id = serializers.IntegerField(source="pk")
    prompt = serializers.IntegerField(source="prompt_id")
    purpose = serializers.ChoiceField(choices=Purpose.choices)
    ranks = serializers.SerializerMethodField(help_text="Right rank by completion id.")
    answers = serializers.SerializerMethodField(help_text="How many labelers' rankings there are.")
    right_share = serializers.SerializerMethodField(
        help_text="Mean share of pairs that they order alike, 0 to 1; null before the first."
    )
    withdrawn = serializers.SerializerMethodField()

    def get_ranks(self, item: Slate) -> dict[str, int]:
        """Rank by completion id, which JSON wants as text."""
        current = [one for one in item.decisions.all() if one.is_current]
        return {str(row.completion_id): row.rank for one in current for row in one.ranks.all()}

    def get_answers(self, item: Slate) -> int:
        """Counted."""
        return self._did(item).count

    def get_right_share(self, item: Slate) -> float | None:
        """In the mean."""
        return self._did(item).share

    def get_withdrawn(self, item: Slate) -> bool:
        """Whether nobody is given it any more."""
        return item.withdrawn_at is not None

    def _did(self, item: Slate) -> known_answers.Did:
        found: dict[int, known_answers.Did] = self.context["did"]
        return found[item.pk]


class KnownAnswerRowSerializer(serializers.Serializer[Any]):
    """An item to be added: `prompt` (a text) or `messages`, and completions with right ranks."""

    prompt = serializers.CharField(required=False, help_text="One user turn.")
    messages = MessageSerializer(many=True, required=False)
    completions = serializers.ListField(
        child=serializers.CharField(), min_length=2, max_length=9, help_text="Texts."
    )
    ranks = serializers.ListField(
        child=serializers.IntegerField(min_value=1),
        help_text="In the order of the completions: 1 is best, equal ranks are ties.",
    )
    purpose = serializers.ChoiceField(choices=PURPOSES)
    explanation = serializers.CharField(
        required=False, max_length=LONGEST_EXPLANATION, help_text="In Markdown."
    )


class ItemsAddedSerializer(serializers.Serializer[Any]):
    """The items, in the order sent; one that was there already comes back with its id."""

    items = serializers.ListField(child=serializers.IntegerField())
    unused = serializers.ListField(
        child=serializers.CharField(),
        help_text="Names of fields of which nothing was made: perhaps misspelt.",
    )


class KnownAnswerFilter(django_filters.FilterSet):  # type: ignore[misc]  # untyped library
    """`?purpose=gold`"""

    purpose = django_filters.ChoiceFilter(choices=PURPOSES)


ROWS = PolymorphicProxySerializer(
    component_name="KnownAnswerRows",
    serializers=[KnownAnswerRowSerializer, KnownAnswerRowSerializer(many=True)],
    resource_type_field_name=None,
    many=False,
)


class KnownAnswerListView(ProjectView):
    """/projects/<slug>/known-answers/"""

    rules = {
        "GET": Rule(scope=Scope.READ, roles=MAKERS),
        "POST": Rule(scope=Scope.WRITE, roles=MANAGERS),
    }
    serializer_class = KnownAnswerSerializer
    pagination_class = OldestFirst
    filterset_class = KnownAnswerFilter
    queryset = Slate.objects.none()

    def get_queryset(self) -> QuerySet[Slate]:
        """The project's items, withdrawn ones too."""
        items = Slate.objects.visible_to(self.user).items().filter(project=self.project)
        return items.prefetch_related("decisions__ranks")

    @extend_schema(operation_id="known_answers_list", responses=KnownAnswerSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """Items with a known answer, the oldest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        context = {"did": known_answers.how_labelers_did(page)}
        rows = KnownAnswerSerializer(page, many=True, context=context)
        return self.get_paginated_response(rows.data)

    @extend_schema(
        operation_id="known_answers_add", request=ROWS, responses={201: ItemsAddedSerializer}
    )
    def post(self, request: Request, slug: str) -> Response:
        """Add one item, or a list of up to 1,000; all or none. Sent twice, each is there once."""
        rows = request.data if isinstance(request.data, list) else [request.data]
        if not 1 <= len(rows) <= known_answers.MOST_ROWS:
            message = _("Send 1 to %(most)d rows at a time.") % {"most": known_answers.MOST_ROWS}
            raise serializers.ValidationError({"rows": [message]}, code="bad_count")
        checked, faults = _checked(rows)
        if faults:
            detail = _("%(bad)d of %(total)d rows can't be taken; nothing was added.")
            detail %= {"bad": len(faults), "total": len(rows)}
            body = {"code": "rows_refused", "detail": detail, "errors": faults[:MOST_ERRORS]}
            return Response(body, status=status.HTTP_400_BAD_REQUEST)
        made = known_answers.add_items(project=self.project, rows=checked, by=self.user)
        unused = {name for row in rows for name in known_answers.unused_in_item(row)}
        answer = {"items": [item.pk for item in made], "unused": sorted(unused)[:40]}
        return Response(answer, status=status.HTTP_201_CREATED)


def _object(row: Any) -> Mapping[str, object]:
    if not isinstance(row, Mapping):
        raise known_answers.ItemRefused("", _('a row is an object like {"prompt": "…"}'))
    return row


def _checked(rows: list[Any]) -> tuple[list[known_answers.NewItem], list[dict[str, Any]]]:
    """The rows that can be added, and what is wrong with the others, by index."""
    checked: list[known_answers.NewItem] = []
    faults: list[dict[str, Any]] = []
    for index, row in enumerate(rows):
        try:
            checked.append(known_answers.new_item(_object(row)))
        except (PromptRefused, known_answers.ItemRefused) as refusal:
            where = {"field": refusal.field} if refusal.field else {}
            faults.append({"index": index, "code": refusal.code, "detail": refusal.message} | where)
    return checked, faults
