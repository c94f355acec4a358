"""Checkpoints: every version of every kind, and one version's way back and forward."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from training.checkpoints import lineage
from training.deployments import current
from training.models import Checkpoint
from training.runs import results_of
from training.views.access import SignedIn, place_of, signed_in

PER_PAGE = 30
ANSWERS = (Checkpoint.Kind.BASE, Checkpoint.Kind.POLICY)
RELATED = (
    *("run", "run__round", "run__base", "run__start", "run__reward", "run__judge"),
    *("base", "started_from", "source", "project"),
)


@signed_in
@require_GET
def checkpoint_list(request: SignedIn, slug: str) -> HttpResponse:
    """All versions, newest first; a kind can be chosen."""
    place = place_of(request, slug)
    kind = request.GET.get("kind", "")
    found = Checkpoint.objects.filter(project=place.project).select_related("run", "run__round")
    found = found.filter(kind=kind) if kind in Checkpoint.Kind.values else found
    deployed = current(place.project)
    context = {
        "project": place.project,
        "page": Paginator(found.order_by("-pk"), PER_PAGE).get_page(request.GET.get("page")),
        "kinds": Checkpoint.Kind.choices,
        "kind": kind,
        "deployed_pk": deployed.checkpoint_id if deployed else None,
    }
    return render(request, "training/checkpoint_list.html", context)


@signed_in
@require_GET
def checkpoint(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """One version: what it is, what it grew from, what grew from it, where it was deployed."""
    place = place_of(request, slug)
    versions = Checkpoint.objects.select_related(*RELATED)
    shown = get_object_or_404(versions, project=place.project, pk=pk)
    deployed = current(place.project)
    is_deployed = deployed is not None and deployed.checkpoint_id == shown.pk
    can_answer = shown.kind in ANSWERS and shown.files_removed_at is None
    context = {
        "project": place.project,
        "can_act": place.can_act,
        "checkpoint": shown,
        "lineage": lineage(shown),
        "results": results_of(shown.run) if shown.run else {},
        "is_deployed": is_deployed,
        "deployable": place.can_act and can_answer and not is_deployed,
    }
    return render(request, "training/checkpoint.html", context)
