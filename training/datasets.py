"""Frozen datasets: rows written once to JSONL, with a sum and the exact selection that made them.

The same selection with the same weights gives the same bytes, and a dataset that is there already
is not made twice. What labelers of weight 0 did is left out, and recorded as left out.
Knows nothing of what a dataset is trained for.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from labeling.demonstrations import live_demonstrations
from labeling.models import (
    Demonstration,
    LabelerWeight,
    Project,
    Prompt,
    Purpose,
    RankedCompletion,
    Ranking,
    Split,
    User,
)
from labeling.weights import FULL, weights_in
from training import artifacts
from training.models import Dataset, DatasetDemonstration, DatasetRanking
from training.records import (
    DemonstrationRow,
    PromptRow,
    RankedText,
    RankingRow,
)

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
    left_out = LabelerWeight.objects.filter(
        project=project, labeler=OuterRef("labeler"), is_current=True, weight=0
    )
    return standing_rankings(project).filter(~Exists(left_out))


def training_demonstrations(project: Project) -> QuerySet[Demonstration]:
    """Demonstrations of training prompts: other splits must not leak into a policy."""
    return live_demonstrations(project).filter(prompt__split=Split.TRAIN)


def freeze_rankings(*, project: Project, by: User | None = None) -> Dataset:
    """All current training rankings, of every split; the recipes take theirs by `split`."""
    weights = weights_in(project)
    found = standing_rankings(project).order_by("pk").values_list("pk", "labeler_id")
    selection = {pk: weights.get(labeler, FULL) for pk, labeler in found}

    def select(dataset: Dataset, part: Sequence[int]) -> None:
        DatasetRanking.objects.bulk_create(
            DatasetRanking(dataset=dataset, ranking_id=pk, weight=selection[pk]) for pk in part
        )

    return _freeze(
        project=project,
        kind=Dataset.Kind.RANKINGS,
        selection=selection,
        rows=partial(_ranking_rows, weights=selection),
        select=select,
        by=by,
    )


def freeze_demonstrations(*, project: Project, by: User | None = None) -> Dataset:
    """All demonstrations of training prompts."""
    weights = weights_in(project)
    found = training_demonstrations(project).order_by("pk").values_list("pk", "labeler_id")
    selection = {pk: weights.get(labeler or 0, FULL) for pk, labeler in found}

    def select(dataset: Dataset, part: Sequence[int]) -> None:
        DatasetDemonstration.objects.bulk_create(
            DatasetDemonstration(dataset=dataset, demonstration_id=pk, weight=selection[pk])
            for pk in part
        )

    return _freeze(
        project=project,
        kind=Dataset.Kind.DEMONSTRATIONS,
        selection=selection,
        rows=partial(_demonstration_rows, weights=selection),
        select=select,
        by=by,
    )


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

    def select(dataset: Dataset, part: Sequence[int]) -> None:
        dataset.prompts.add(*part)

    return _freeze(
        project=project,
        kind=Dataset.Kind.PROMPTS,
        selection=dict.fromkeys(ids, FULL),
        rows=_prompt_rows,
        select=select,
        by=by,
    )


def _freeze(
    *,
    project: Project,
    kind: Dataset.Kind,
    selection: Mapping[int, float],
    rows: Callable[[Sequence[int]], Iterator[Any]],
    select: Callable[[Dataset, Sequence[int]], None],
    by: User | None,
) -> Dataset:
    """Write the selected rows, in their order, and record the selection: weights by id.

    A row of weight 0 is recorded and not written. No transaction spans the file; the rows that were
    selected never change.
    """
    ids = [pk for pk, weight in selection.items() if weight > 0]
    left_out = [pk for pk, weight in selection.items() if weight == 0]
    folder = Path(settings.DATA_DIR) / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="freeze-") as temporary:
        path = Path(temporary) / f"{kind}.jsonl"
        sha256 = _write(path, (row for part in _chunks(ids) for row in rows(part)))
        same = Dataset.objects.filter(project=project, kind=kind, sha256=sha256, rows=len(ids))
        for existing in same.order_by("pk"):
            if left_out_of(existing) == left_out:
                return existing
        name = f"datasets/{project.pk}/{kind}-{sha256[:16]}.jsonl"
        artifact = artifacts.put_file(path, name)
    with transaction.atomic():
        dataset = Dataset.objects.create(
            project=project,
            kind=kind,
            artifact=artifact,
            sha256=sha256,
            rows=len(ids),
            created_by=by,
        )
        for part in _chunks(sorted(selection)):
            select(dataset, part)
    return dataset


def left_out_of(dataset: Dataset) -> list[int]:
    """Ids of what a dataset holds nothing of, since its labelers' work counted nothing then."""
    match dataset.kind:
        case Dataset.Kind.RANKINGS:
            rankings = DatasetRanking.objects.filter(dataset=dataset, weight=0)
            return list(rankings.order_by("ranking").values_list("ranking_id", flat=True))
        case Dataset.Kind.DEMONSTRATIONS:
            rows = DatasetDemonstration.objects.filter(dataset=dataset, weight=0)
            return list(rows.order_by("demonstration").values_list("demonstration_id", flat=True))
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


def _with_category(row: Any, prompt: Prompt) -> Any:
    if prompt.category:
        row["category"] = prompt.category
    return row


def _ranking_rows(ids: Sequence[int], *, weights: Mapping[int, float]) -> Iterator[RankingRow]:
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
        prompt = ranking.slate.prompt
        completions = [one.completion for one in ranked[pk]]
        row: RankingRow = {
            "id": str(pk),
            "split": prompt.split,  # type: ignore[typeddict-item]  # the column's choices are these
            "prompt": prompt.messages,
            "completions": [
                RankedText(
                    id=str(one.pk), text=one.text, source=one.source.name, finished=one.finished
                )
                for one in completions
            ],
            "ranks": _dense([one.rank for one in ranked[pk]]),
            "labeler": ranking.labeler.pseudonym,
            "weight": weights[pk],
        }
        grades = [one.likert for one in ranked[pk]]
        if None not in grades:
            row["likert"] = grades  # type: ignore[typeddict-item]  # none of them is None
        yield _with_category(row, prompt)


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


def _demonstration_rows(
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


def _prompt_rows(ids: Sequence[int]) -> Iterator[PromptRow]:
    for prompt in Prompt.objects.filter(pk__in=ids).order_by("pk"):
        row: PromptRow = {
            "id": str(prompt.pk),
            "split": prompt.split,  # type: ignore[typeddict-item]  # as above
            "prompt": prompt.messages,
        }
        yield _with_category(row, prompt)
