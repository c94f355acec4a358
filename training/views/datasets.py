"""Frozen datasets: what each holds, what was trained on it, and its file."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from labeling.models import Split
from training.artifacts import ArtifactMissing, fetch_file
from training.models import Dataset, DatasetDecision, DatasetDemonstration, DatasetRanking
from training.views.access import SignedIn, place_of, signed_in

PER_PAGE = 30


@signed_in
@require_GET
def dataset_list(request: SignedIn, slug: str) -> HttpResponse:
    """All frozen datasets, newest first."""
    place = place_of(request, slug)
    found = Dataset.objects.filter(project=place.project).with_left_out()
    found = found.select_related("created_by")
    found = found.annotate(run_count=Count("runs", distinct=True)).order_by("-pk")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "training/dataset_list.html", {"project": place.project, "page": page})


@signed_in
@require_GET
def dataset(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """What one dataset holds, by split and by labeler, and the runs that read it."""
    place = place_of(request, slug)
    shown = get_object_or_404(Dataset, project=place.project, pk=pk)
    context = {
        "project": place.project,
        "dataset": shown,
        "decisions": DatasetDecision.objects.filter(dataset=shown, weight__gt=0).count(),
        "by_split": _by_split(shown),
        "by_labeler": _by_labeler(shown),
        "left_out": _by_labeler(shown, left_out=True),
        "runs": shown.runs.order_by("-pk")[:PER_PAGE],
    }
    return render(request, "training/dataset.html", context)


class _Selected(NamedTuple):
    """Rows that say what is in a dataset, and their ways to a prompt's split and to a person."""

    rows: QuerySet[Any]
    split: str
    labeler: str = ""
    """Empty: nobody said them, and they have no weights."""


def _selected(shown: Dataset) -> list[_Selected]:
    match shown.kind:
        case Dataset.Kind.RANKINGS:
            rankings = DatasetRanking.objects.filter(dataset=shown)
            decisions = DatasetDecision.objects.filter(dataset=shown)
            return [
                _Selected(rankings, "ranking__slate__prompt__split", "ranking__labeler__pseudonym"),
                _Selected(
                    decisions, "decision__slate__prompt__split", "decision__decided_by__pseudonym"
                ),
            ]
        case Dataset.Kind.DEMONSTRATIONS:
            rows = DatasetDemonstration.objects.filter(dataset=shown)
            split, who = "demonstration__prompt__split", "demonstration__labeler__pseudonym"
            return [_Selected(rows, split, who)]
        case Dataset.Kind.TEXTS:
            return []
        case _:
            return [_Selected(shown.prompts.all(), "split")]


def _by_split(shown: Dataset) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for rows, split, labeler in _selected(shown):
        counted = rows.filter(weight__gt=0) if labeler else rows
        found = counted.order_by(split).values_list(split).annotate(number=Count("pk"))
        counts.update(dict(found))
    labels = dict(Split.choices)
    return [(str(labels.get(name, name)), number) for name, number in sorted(counts.items())]


def _by_labeler(shown: Dataset, *, left_out: bool = False) -> list[tuple[Any, float, int]]:
    """(pseudonym, weight, rows), of what is in it or of what was left out, most rows first."""
    counts: Counter[tuple[str, float]] = Counter()
    for rows, _split, labeler in _selected(shown):
        if labeler:
            counted = rows.filter(weight=0) if left_out else rows.filter(weight__gt=0)
            found = counted.order_by().values_list(labeler, "weight").annotate(number=Count("pk"))
            for who, weight, number in found:
                counts[who or "", weight] += number
    return [
        (who or _("imported"), weight, number)
        for (who, weight), number in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    ]


@signed_in
@require_GET
def dataset_file(request: SignedIn, slug: str, pk: int) -> HttpResponseBase:
    """The dataset's own bytes, as the runs read them."""
    place = place_of(request, slug)
    shown = get_object_or_404(Dataset, project=place.project, pk=pk)
    try:
        path = fetch_file(shown.artifact)
    except ArtifactMissing:
        message = _("The file of this dataset is not in the artifacts any more; its rows are.")
        return HttpResponse(message, status=410, content_type="text/plain; charset=utf-8")
    name = f"{place.project.slug}-{shown.kind}-{shown.pk}.jsonl"
    return FileResponse(path.open("rb"), as_attachment=True, filename=name)
