"""The rows of a dataset's file, of each kind, as the trainer's contract has them.

Ids in, in the order that they were selected; rows out. Knows nothing of who selects or writes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from django.db.models import Exists, OuterRef

from labeling.models import (
    DecidedRank,
    Decision,
    Demonstration,
    Prompt,
    RankedCompletion,
    Ranking,
    Text,
    User,
)
from training.records import (
    DemonstrationRow,
    PromptRow,
    RankedText,
    RankingRow,
    TextRow,
)

Row = TypeVar("Row", DemonstrationRow, RankingRow, PromptRow)
Grouped = TypeVar("Grouped", RankingRow, PromptRow)


def decision_row_id(pk: int) -> str:
    """How a decision is named among rankings, whose ids are plain numbers."""
    return f"decision-{pk}"


def _with_category(row: Row, prompt: Prompt) -> Row:
    if prompt.category:
        row["category"] = prompt.category
    return row


def _with_group(row: Grouped, prompt: Prompt) -> Grouped:
    if prompt.group:
        row["group"] = prompt.group
    return row


def ranking_rows(ids: Sequence[int], *, weights: Mapping[int, float]) -> Iterator[RankingRow]:
    rankings = Ranking.objects.filter(pk__in=ids).select_related("slate__prompt", "labeler")
    ranked: dict[int, list[RankedCompletion]] = defaultdict(list)
    rows = RankedCompletion.objects.filter(ranking__in=ids).select_related("completion__source")
    refused = _refused_edits(ids)
    for one in rows.order_by("ranking", "completion"):
        if one.completion_id not in refused:
            ranked[one.ranking_id].append(one)
    by_pk = {ranking.pk: ranking for ranking in rankings}
    for pk in ids:
        ranking = by_pk[pk]
        row = _judgement_row(
            str(pk), ranking.slate.prompt, ranked[pk], ranking.labeler, weights[pk]
        )
        grades = [one.likert for one in ranked[pk]]
        if any(grade is not None for grade in grades):
            row["likert"] = grades
        yield row


def decision_rows(ids: Sequence[int], *, weights: Mapping[int, float]) -> Iterator[RankingRow]:
    decisions = Decision.objects.filter(pk__in=ids).select_related("slate__prompt", "decided_by")
    ranked: dict[int, list[DecidedRank]] = defaultdict(list)
    rows = DecidedRank.objects.filter(decision__in=ids).select_related("completion__source")
    for one in rows.order_by("decision", "completion"):
        ranked[one.decision_id].append(one)
    for decision in decisions.order_by("pk"):
        yield _judgement_row(
            decision_row_id(decision.pk),
            decision.slate.prompt,
            ranked[decision.pk],
            decision.decided_by,
            weights[decision.pk],
        )


def _judgement_row(
    name: str,
    prompt: Prompt,
    ranked: Sequence[RankedCompletion] | Sequence[DecidedRank],
    by: User,
    weight: float,
) -> RankingRow:
    """What somebody said of a prompt's completions, as a row."""
    row: RankingRow = {
        "id": name,
        "split": prompt.split,  # type: ignore[typeddict-item]  # the column's choices are these
        "prompt": prompt.messages,
        "completions": [
            RankedText(
                id=str(one.completion_id),
                text=one.completion.text,
                source=one.completion.source.name,
                finished=one.completion.finished,
            )
            for one in ranked
        ],
        "ranks": _dense([one.rank for one in ranked]),
        "labeler": by.pseudonym,
        "weight": weight,
    }
    return _with_group(_with_category(row, prompt), prompt)


def _refused_edits(rankings: Sequence[int]) -> set[int]:
    """Better versions that labelers wrote, ranked there, whose demonstrations were refused."""
    refused = Demonstration.objects.filter(
        state=Demonstration.State.REFUSED,
        prompt=OuterRef("completion__prompt"),
        edited_from=OuterRef("completion__edited_from"),
        text=OuterRef("completion__text"),
    )
    edits = RankedCompletion.objects.filter(
        Exists(refused), ranking__in=rankings, completion__edited_from__isnull=False
    )
    return set(edits.values_list("completion_id", flat=True))


def _dense(ranks: Sequence[int]) -> list[int]:
    """Ranks with gaps closed."""
    places = {rank: place for place, rank in enumerate(sorted(set(ranks)), 1)}
    return [places[rank] for rank in ranks]


def demonstration_rows(
    ids: Sequence[int], *, weights: Mapping[int, float]
) -> Iterator[DemonstrationRow]:
    found = Demonstration.objects.filter(pk__in=ids).select_related("prompt", "labeler")
    for one in found.order_by("pk"):
        row: DemonstrationRow = {
            "id": str(one.pk),
            "split": one.prompt.split,  # type: ignore[typeddict-item]  # as above
            "prompt": one.prompt.messages,
            "completion": one.text,
            "labeler": one.labeler.pseudonym if one.labeler else "",
            "weight": weights[one.pk],
        }
        yield _with_category(row, one.prompt)


def prompt_rows(ids: Sequence[int]) -> Iterator[PromptRow]:
    for prompt in Prompt.objects.filter(pk__in=ids).order_by("pk"):
        row: PromptRow = {
            "id": str(prompt.pk),
            "split": prompt.split,  # type: ignore[typeddict-item]  # as above
            "prompt": prompt.messages,
        }
        yield _with_group(_with_category(row, prompt), prompt)


def text_rows(ids: Sequence[int]) -> Iterator[TextRow]:
    for text in Text.objects.filter(pk__in=ids).order_by("pk"):
        yield {"id": str(text.pk), "split": "train", "text": text.text}
