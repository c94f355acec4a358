"""Frozen datasets: rows written once to JSONL, with a sum and the exact selection that made them.

The same selection with the same weights gives the same bytes, and a dataset that is there already
is not made twice. What labelers of weight 0 did is left out, and recorded as left out.
Knows nothing of what a dataset is trained for.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from labeling.demonstrations import live_demonstrations
from labeling.models import (
    Decision,
    Demonstration,
    LabelerWeight,
    Project,
    Prompt,
    Purpose,
    Ranking,
    Split,
    Text,
    User,
)
from labeling.weights import FULL, weights_in
from training import artifacts
from training.dataset_rows import (
    decision_row_id,
    decision_rows,
    demonstration_rows,
    prompt_rows,
    ranking_rows,
    text_rows,
)
from training.models import Dataset, DatasetDecision, DatasetDemonstration, DatasetRanking

CHUNK = 500
"""Rows read, written or inserted at a time."""


def evaluation_prompts_of(project: Project) -> QuerySet[Prompt]:
    """What policies may be compared on."""
    return Prompt.objects.live().filter(project=project, split=Split.EVALUATION)


def standing_rankings(project: Project) -> QuerySet[Ranking]:
    """What stands: current, of training slates, nothing of it withdrawn."""
    return Ranking.objects.current().filter(
        slate__project=project,
        slate__purpose=Purpose.TRAINING,
        slate__withdrawn_at=None,
        slate__prompt__withdrawn_at=None,
    )


def training_rankings(project: Project) -> QuerySet[Ranking]:
    """What may be trained on: what stands, but for labelers whose work counts nothing."""
    left_out = counting_nothing(project).filter(labeler=OuterRef("labeler"))
    return standing_rankings(project).filter(~Exists(left_out))


def counting_nothing(project: Project) -> QuerySet[LabelerWeight]:
    """Labelers whose work counts nothing, as the weights are now."""
    return LabelerWeight.objects.filter(project=project, is_current=True, weight=0)


def standing_decisions(project: Project) -> QuerySet[Decision]:
    """Adjudicators' words that stand, of training slates, nothing of it withdrawn."""
    return Decision.objects.filter(
        is_current=True,
        slate__project=project,
        slate__purpose=Purpose.TRAINING,
        slate__withdrawn_at=None,
        slate__prompt__withdrawn_at=None,
    )


def training_demonstrations(project: Project) -> QuerySet[Demonstration]:
    """Demonstrations of training prompts: other splits must not leak into a policy."""
    return live_demonstrations(project).filter(prompt__split=Split.TRAIN)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What a dataset takes from one table: weights by id, in the order of the file's rows."""

    weights: Mapping[int, float]
    rows: Callable[[Sequence[int]], Iterator[Any]]
    """What is written of these ids."""
    record: Callable[[Dataset, Sequence[int]], object]
    """Keeps these ids, with their weights, as part of the dataset's selection."""
    name: Callable[[int], str] = str
    """The id of a row in the file."""


def freeze_rankings(*, project: Project, by: User | None = None) -> Dataset:
    """All current training rankings, of every split; the recipes take theirs by `split`.

    An adjudicator's decision is one judgement more of its slate, with the adjudicator's own weight:
    it stands beside the rankings there and replaces none.
    """
    return _freeze(
        project=project,
        kind=Dataset.Kind.RANKINGS,
        parts=[_ranked_part(project), _decided_part(project)],
        by=by,
    )


def _ranked_part(project: Project) -> _Part:
    found = standing_rankings(project).order_by("pk").values_list("pk", "labeler_id")
    weights = _weighted(project, found)

    def record(dataset: Dataset, ids: Sequence[int]) -> None:
        DatasetRanking.objects.bulk_create(
            DatasetRanking(dataset=dataset, ranking_id=pk, weight=weights[pk]) for pk in ids
        )

    return _Part(weights=weights, rows=partial(ranking_rows, weights=weights), record=record)


def _decided_part(project: Project) -> _Part:
    found = standing_decisions(project).order_by("pk").values_list("pk", "decided_by_id")
    weights = _weighted(project, found)

    def record(dataset: Dataset, ids: Sequence[int]) -> None:
        DatasetDecision.objects.bulk_create(
            DatasetDecision(dataset=dataset, decision_id=pk, weight=weights[pk]) for pk in ids
        )

    return _Part(
        weights=weights,
        rows=partial(decision_rows, weights=weights),
        record=record,
        name=decision_row_id,
    )


def freeze_demonstrations(*, project: Project, by: User | None = None) -> Dataset:
    """All demonstrations of training prompts."""
    found = training_demonstrations(project).order_by("pk").values_list("pk", "labeler_id")
    weights = _weighted(project, found)

    def record(dataset: Dataset, ids: Sequence[int]) -> None:
        DatasetDemonstration.objects.bulk_create(
            DatasetDemonstration(dataset=dataset, demonstration_id=pk, weight=weights[pk])
            for pk in ids
        )

    part = _Part(weights=weights, rows=partial(demonstration_rows, weights=weights), record=record)
    return _freeze(project=project, kind=Dataset.Kind.DEMONSTRATIONS, parts=[part], by=by)


def freeze_prompts(*, project: Project, evaluation_prompts: int, by: User | None = None) -> Dataset:
    """Prompts to roll out (train), to look at along the way (rm_test) and to evaluate on.

    evaluation_prompts: how many of the last kind, in the order of their shuffle; it is the same
    selection for every round as long as no prompt comes before.
    """
    prompts = Prompt.objects.live().filter(project=project)
    used = prompts.filter(Q(split=Split.TRAIN) | Q(split=Split.RM_TEST))
    evaluation = evaluation_prompts_of(project).order_by("shuffle", "pk")
    chosen = evaluation.values_list("pk", flat=True)[:evaluation_prompts]
    ids = sorted([*used.values_list("pk", flat=True), *chosen])
    part = _Part(
        weights=dict.fromkeys(ids, FULL),
        rows=prompt_rows,
        record=lambda dataset, some: dataset.prompts.add(*some),
    )
    return _freeze(project=project, kind=Dataset.Kind.PROMPTS, parts=[part], by=by)


def freeze_texts(*, project: Project, by: User | None = None) -> Dataset:
    """All texts that stand, for PPO-ptx."""
    ids = list(Text.objects.live().filter(project=project).order_by("pk").values_list(flat=True))
    part = _Part(
        weights=dict.fromkeys(ids, FULL),
        rows=text_rows,
        record=lambda dataset, some: dataset.texts.add(*some),
    )
    return _freeze(project=project, kind=Dataset.Kind.TEXTS, parts=[part], by=by)


def _weighted(project: Project, found: Iterable[tuple[int, int | None]]) -> dict[int, float]:
    """(id, person's id) as weights by id; an import's author is nobody, and counts in full."""
    weights = weights_in(project)
    return {pk: weights.get(person or 0, FULL) for pk, person in found}


def _freeze(
    *, project: Project, kind: Dataset.Kind, parts: Sequence[_Part], by: User | None
) -> Dataset:
    """Write the selected rows, in their order, and record the selection: weights by id.

    A row of weight 0 is recorded and not written. No transaction spans the file; the rows that were
    selected never change.
    """
    written = [[pk for pk, weight in part.weights.items() if weight > 0] for part in parts]
    left_out = [
        part.name(pk) for part in parts for pk, weight in part.weights.items() if not weight
    ]
    count = sum(len(ids) for ids in written)
    folder = Path(settings.DATA_DIR) / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="freeze-") as temporary:
        path = Path(temporary) / f"{kind}.jsonl"
        sha256 = _write(path, _rows(parts, written))
        same = Dataset.objects.filter(project=project, kind=kind, sha256=sha256, rows=count)
        for existing in same.order_by("pk"):
            if left_out_of(existing) == left_out:
                return existing
        name = f"datasets/{project.pk}/{kind}-{sha256[:16]}.jsonl"
        artifact = artifacts.put_file(path, name)
    with transaction.atomic():
        dataset = Dataset.objects.create(
            project=project, kind=kind, artifact=artifact, sha256=sha256, rows=count, created_by=by
        )
        for part in parts:
            for ids in _chunks(sorted(part.weights)):
                part.record(dataset, ids)
    return dataset


def _rows(parts: Sequence[_Part], written: Sequence[Sequence[int]]) -> Iterator[Any]:
    """The rows of these ids, part by part."""
    for part, ids in zip(parts, written, strict=True):
        for some in _chunks(ids):
            yield from part.rows(some)


def rankings_in(dataset: Dataset) -> int:
    """How many rankings a dataset holds: its rows but for the decisions among them."""
    return DatasetRanking.objects.filter(dataset=dataset, weight__gt=0).count()


def left_out_of(dataset: Dataset) -> list[str]:
    """Ids, as rows have them, of what a dataset holds nothing of since it counted nothing then."""
    match dataset.kind:
        case Dataset.Kind.RANKINGS:
            rankings = DatasetRanking.objects.filter(dataset=dataset, weight=0).order_by("ranking")
            decisions = DatasetDecision.objects.filter(dataset=dataset, weight=0)
            return [
                *map(str, rankings.values_list("ranking_id", flat=True)),
                *map(
                    decision_row_id,
                    decisions.order_by("decision").values_list("decision_id", flat=True),
                ),
            ]
        case Dataset.Kind.DEMONSTRATIONS:
            rows = DatasetDemonstration.objects.filter(dataset=dataset, weight=0)
            ids = rows.order_by("demonstration").values_list("demonstration_id", flat=True)
            return [str(pk) for pk in ids]
        case _:
            return []


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def _write(path: Path, rows: Iterable[Any]) -> str:
    """Write one JSON object a line; the sha256 of the bytes."""
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for row in rows:
            line = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n").encode()
            digest.update(line)
            stream.write(line)
    return digest.hexdigest()
