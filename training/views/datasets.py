"""Frozen datasets: what each holds, what was trained on it, and its file."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from labeling.models import Split
from training.artifacts import ArtifactMissing, fetch_file
from training.models import Dataset
from training.views.access import SignedIn, place_of, signed_in

PER_PAGE = 30

TO_PROMPT = {
    Dataset.Kind.RANKINGS: ("rankings", "rankings__slate__prompt__split", "rankings__labeler"),
    Dataset.Kind.DEMONSTRATIONS: (
        *("demonstrations", "demonstrations__prompt__split", "demonstrations__labeler"),
    ),
    Dataset.Kind.PROMPTS: ("prompts", "prompts__split", ""),
}
"""By kind: what its rows are, and the ways to their split and to who made them."""


@signed_in
@require_GET
def dataset_list(request: SignedIn, slug: str) -> HttpResponse:
    """All frozen datasets, newest first."""
    place = place_of(request, slug)
    found = Dataset.objects.filter(project=place.project).select_related("created_by")
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
        "by_split": _by_split(shown),
        "by_labeler": _by_labeler(shown),
        "runs": shown.runs.order_by("-pk")[:PER_PAGE],
    }
    return render(request, "training/dataset.html", context)


def _by_split(shown: Dataset) -> list[tuple[str, int]]:
    rows, split, _labeler = TO_PROMPT[Dataset.Kind(shown.kind)]
    counted = Dataset.objects.filter(pk=shown.pk).order_by(split).values_list(split)
    labels = dict(Split.choices)
    found = counted.annotate(number=Count(rows))
    return [(str(labels.get(name, name)), number) for name, number in found if name]


def _by_labeler(shown: Dataset) -> list[tuple[Any, int]]:
    rows, _split, labeler = TO_PROMPT[Dataset.Kind(shown.kind)]
    if not labeler:
        return []
    name = f"{labeler}__pseudonym"
    counted = Dataset.objects.filter(pk=shown.pk, **{f"{rows}__isnull": False})
    found = counted.values_list(name).annotate(number=Count(rows)).order_by("-number", name)
    return [(who or _("imported"), number) for who, number in found]


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
