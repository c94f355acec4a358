"""Rankings over REST: what labelers said, and a way to say it from a program."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

import django_filters
from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling import rankings
from labeling.api.pagination import OldestFirst
from labeling.api.permissions import EVERYONE, ProjectView, Rule, Scope
from labeling.decisions import decided
from labeling.hidden_numbers import Of, revealed
from labeling.judgements import LONGEST_COMMENT, LONGEST_EDIT, Judgement
from labeling.models import (
    LIKE_TRAINING,
    RANKERS,
    Assignment,
    CompletionFlag,
    Decision,
    PromptFlag,
    Purpose,
    Ranking,
    Role,
)
from labeling.whole_numbers import small_int

T = TypeVar("T")


class AnswerSerializer(serializers.Serializer[Any]):
    """What is right of a practice item, and why."""

    ranks = serializers.DictField(
        child=serializers.IntegerField(), help_text="Right rank by completion id."
    )
    explanation = serializers.CharField(help_text="In Markdown.")


class RankingSerializer(serializers.ModelSerializer[Ranking]):
    """A ranking that stands. 1 is best, ranks are dense, equal ranks are ties."""

    labeler = serializers.CharField(source="labeler.pseudonym", help_text="A pseudonym.")
    purpose = serializers.SerializerMethodField(
        help_text="What it serves for; a labeler is not told of gold items and repeats."
    )
    slate = serializers.SerializerMethodField(
        help_text="For labelers a number of its own, as that of the prompt and of completions: "
        "by ids gold items and models could be told."
    )
    prompt = serializers.SerializerMethodField()
    ranks = serializers.SerializerMethodField(help_text="Rank by completion id.")
    likert = serializers.SerializerMethodField(
        help_text="Overall quality by completion id, 1 (worst) to 7, where it was given."
    )
    flags = serializers.SerializerMethodField(help_text="Flags by completion id.")
    prompt_flags = serializers.SerializerMethodField(help_text="Flags on the prompt.")
    decision = serializers.SerializerMethodField(
        help_text="Where somebody decided the slate: rank by completion id. Not for labelers."
    )
    answer = serializers.SerializerMethodField(
        help_text="Of a practice item, once it is ranked: what is right, and why."
    )
    guidelines = serializers.IntegerField(
        source="guidelines.version",
        default=None,
        allow_null=True,
        help_text="The version in force when it was submitted.",
    )

    class Meta:
        model = Ranking
        fields = [
            "id",
            "slate",
            "prompt",
            "purpose",
            "labeler",
            "ranks",
            "likert",
            "flags",
            "prompt_flags",
            "decision",
            "answer",
            "none_good",
            "comment",
            "guidelines",
            "seconds",
            "replaces",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=Purpose.choices))
    def get_purpose(self, ranking: Ranking) -> str:
        """The slate's, unless that would tell a labeler what they can't tell apart."""
        hidden = self._view.works_blind and ranking.slate.purpose in LIKE_TRAINING
        return Purpose.TRAINING.value if hidden else ranking.slate.purpose

    def get_slate(self, ranking: Ranking) -> int:
        """As shown."""
        return self._view.shown_id(Of.SLATE, ranking.slate_id)

    def get_prompt(self, ranking: Ranking) -> int:
        """As shown."""
        return self._view.shown_id(Of.PROMPT, ranking.slate.prompt_id)

    def get_ranks(self, ranking: Ranking) -> dict[str, int]:
        """Rank by completion id, which JSON wants as text."""
        return self._spelled({row.completion_id: row.rank for row in ranking.ranks.all()})

    def get_likert(self, ranking: Ranking) -> dict[str, int]:
        """Grade by completion id."""
        return self._spelled(
            {row.completion_id: row.likert for row in ranking.ranks.all() if row.likert is not None}
        )

    def get_flags(self, ranking: Ranking) -> dict[str, list[str]]:
        """Flags by completion id; completions without one are left out."""
        found: dict[int, list[str]] = {}
        for row in ranking.completion_flags.all():
            found.setdefault(row.completion_id, []).append(row.flag)
        return self._spelled(found)

    def get_prompt_flags(self, ranking: Ranking) -> list[str]:
        """What was noted of the prompt."""
        return [row.flag for row in ranking.prompt_flags.all()]

    def get_decision(self, ranking: Ranking) -> dict[str, int] | None:
        """What an adjudicator decided; the answers of gold items are nobody's business."""
        if self._view.works_blind or ranking.slate.purpose != Purpose.TRAINING:
            return None
        for decision in ranking.slate.decisions.all():
            return self._spelled(decided(decision))
        return None

    @extend_schema_field(AnswerSerializer(allow_null=True))
    def get_answer(self, ranking: Ranking) -> dict[str, Any] | None:
        """What the page shows after a practice item."""
        if ranking.slate.purpose != Purpose.PRACTICE:
            return None
        for decision in ranking.slate.decisions.all():
            return {"ranks": self._spelled(decided(decision)), "explanation": decision.explanation}
        return None

    def _spelled(self, by_completion: Mapping[int, T]) -> dict[str, T]:
        """By the completion's id as shown, which JSON wants as text."""
        shown = self._view.shown_id
        return {str(shown(Of.COMPLETION, pk)): one for pk, one in by_completion.items()}

    @property
    def _view(self) -> ProjectView:
        """Who asks."""
        view: ProjectView = self.context["view"]
        return view


class ByCompletion(serializers.DictField):
    """Something for each of several completions; JSON spells their ids as text."""

    def to_internal_value(self, data: Any) -> dict[int, Any]:
        """The ids as numbers."""
        sent: dict[str, Any] = super().to_internal_value(data)
        numbered = {small_int(key): value for key, value in sent.items()}
        found = {pk: value for pk, value in numbered.items() if pk is not None}
        if len(found) < len(sent):
            message = _('Name each completion once, by its id, like {"12": 1, "15": 2}.')
            raise serializers.ValidationError(message, code="bad_completion")
        return found


class SubmissionSerializer(serializers.Serializer[Any]):
    """What a labeler decided about the assignment that `next/` gave."""

    assignment = serializers.IntegerField(min_value=1)
    lease = serializers.UUIDField()
    ranks = ByCompletion(
        child=serializers.IntegerField(min_value=1, max_value=9),
        help_text="Rank by completion id: 1 is best, equal ranks are ties.",
    )
    seconds = serializers.FloatField(min_value=0, default=0.0, help_text="Active seconds it took.")
    likert = ByCompletion(
        child=serializers.IntegerField(min_value=1, max_value=7),
        default=dict,
        help_text="Overall quality by completion id: 1 is worst, 7 is best.",
    )
    flags = ByCompletion(
        child=serializers.ListField(child=serializers.ChoiceField(choices=CompletionFlag.choices)),
        default=dict,
        help_text="Flags by completion id.",
    )
    prompt_flags = serializers.ListField(
        child=serializers.ChoiceField(choices=PromptFlag.choices), default=list
    )
    edits = ByCompletion(
        child=serializers.CharField(trim_whitespace=False, max_length=LONGEST_EDIT),
        default=dict,
        help_text="A better version by the id of the completion that it is made of; ranks first.",
    )
    none_good = serializers.BooleanField(default=False)
    comment = serializers.CharField(
        required=False, allow_blank=True, max_length=LONGEST_COMMENT, default=""
    )


class RankingFilter(django_filters.FilterSet):  # type: ignore[misc]  # untyped library
    """`?purpose=training&slate=7`"""

    purpose = django_filters.ChoiceFilter(choices=Purpose.choices, method="of_purpose")
    slate = django_filters.NumberFilter(method="of_slate")

    def of_purpose(self, rows: QuerySet[Ranking], _name: str, purpose: str) -> QuerySet[Ranking]:
        """Those of a purpose, as `RankingSerializer` names it."""
        if not self._view.works_blind or purpose not in LIKE_TRAINING:
            return rows.filter(slate__purpose=purpose)
        alike = LIKE_TRAINING if purpose == Purpose.TRAINING else ()
        return rows.filter(slate__purpose__in=alike)

    def of_slate(self, rows: QuerySet[Ranking], _name: str, slate: Decimal) -> QuerySet[Ranking]:
        """Those of a slate, by the number that `RankingSerializer` gives it."""
        return rows.filter(slate=self._view.meant_id(Of.SLATE, int(slate)))

    @property
    def _view(self) -> ProjectView:
        """Who asks."""
        view: ProjectView = self.request.parser_context["view"]
        return view


class RankingListView(ProjectView):
    """/projects/<slug>/rankings/"""

    rules = {
        "GET": Rule(scope=Scope.READ, roles=EVERYONE),
        "POST": Rule(scope=Scope.WRITE, roles=RANKERS),
    }
    serializer_class = RankingSerializer
    pagination_class = OldestFirst
    filterset_class = RankingFilter
    queryset = Ranking.objects.none()

    def get_queryset(self) -> QuerySet[Ranking]:
        """Current rankings of the project; labelers see their own."""
        rows = Ranking.objects.visible_to(self.user).current().filter(slate__project=self.project)
        if self.role == Role.LABELER:
            rows = rows.filter(labeler=self.user)
        standing = Decision.objects.filter(is_current=True).prefetch_related("ranks")
        return rows.select_related("slate", "labeler", "guidelines").prefetch_related(
            "ranks",
            "completion_flags",
            "prompt_flags",
            Prefetch("slate__decisions", queryset=standing),
        )

    @extend_schema(operation_id="rankings_list", responses=RankingSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """The rankings that stand, the oldest first. Labelers see their own."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="rankings_submit",
        request=SubmissionSerializer,
        responses={200: RankingSerializer, 201: RankingSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Submit a ranking. Sent twice, it is stored once: 201 the first time, 200 after."""
        body = SubmissionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sent = body.validated_data
        rows = Assignment.objects.visible_to(self.user).filter(project=self.project)
        rows = rows.select_related("slate__prompt", "project")
        assignment = get_object_or_404(rows, pk=revealed(Of.ASSIGNMENT, sent["assignment"]))
        mine = Ranking.objects.filter(slate=assignment.slate_id, labeler=self.user)
        again = mine.exists()
        ranking = rankings.submit_ranking(
            assignment=assignment,
            labeler=self.user,
            token=sent["lease"],
            judgement=self._judgement(sent),
            seconds=sent["seconds"],
        )
        stored = self.get_queryset().get(pk=ranking.pk)
        code = status.HTTP_200_OK if again else status.HTTP_201_CREATED
        return Response(self.get_serializer(stored).data, status=code)

    def _judgement(self, sent: Mapping[str, Any]) -> Judgement:
        """What was said, by the ids of completions."""

        def by_pk(name: str) -> dict[int, Any]:
            return {self.meant_id(Of.COMPLETION, key): one for key, one in sent[name].items()}

        return Judgement(
            ranks=by_pk("ranks"),
            likert=by_pk("likert"),
            flags={pk: frozenset(flags) for pk, flags in by_pk("flags").items()},
            edits=by_pk("edits"),
            prompt_flags=frozenset(sent["prompt_flags"]),
            none_good=sent["none_good"],
            comment=sent["comment"],
        )
