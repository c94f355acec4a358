"""Deployments: which policy answers, since when, who said so; deploy and roll back."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from labeling.refusals import Refusal
from training.deployments import deploy as deploy_checkpoint
from training.deployments import roll_back as roll_back_project
from training.deployments import roll_back_target
from training.models import Checkpoint, Deployment, Evaluation
from training.views.access import SignedIn, managed_project, place_of, signed_in, whole_number

PER_PAGE = 30


@signed_in
@require_GET
def deployment_list(request: SignedIn, slug: str) -> HttpResponse:
    """What answers now, and the whole history."""
    place = place_of(request, slug)
    history = Deployment.objects.filter(project=place.project).select_related(
        "checkpoint", "checkpoint__run__round", "evaluation", "deployed_by"
    )
    page = Paginator(history.order_by("-pk"), PER_PAGE).get_page(request.GET.get("page"))
    current = history.filter(replaced_at=None).first()
    context = {
        "project": place.project,
        "can_act": place.can_act,
        "page": page,
        "current": current,
        "target": roll_back_target(place.project),
    }
    return render(request, "training/deployment_list.html", context)


@signed_in
@require_POST
def deploy(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Let a checkpoint answer from now on. `evaluation` (one of it) says why."""
    project = managed_project(request, slug)
    checkpoint = get_object_or_404(Checkpoint, project=project, pk=pk)
    number = whole_number(request.POST.get("evaluation", ""))
    evaluation = None
    if number is not None:
        evaluation = get_object_or_404(Evaluation, candidate=checkpoint, pk=number)
    try:
        deploy_checkpoint(checkpoint=checkpoint, by=request.user, evaluation=evaluation)
        messages.success(
            request,
            _("%(policy)s answers from now on. Roll back if it was a mistake.")
            % {"policy": checkpoint},
        )
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect("deployment-list", slug=slug)


@signed_in
@require_POST
def roll_back(request: SignedIn, slug: str) -> HttpResponse:
    """Let the policy before the present one answer again; `undone` is what the page showed."""
    project = managed_project(request, slug)
    undone = whole_number(request.POST.get("undone", ""))
    try:
        deployment = roll_back_project(project=project, by=request.user, undone=undone)
        messages.success(
            request, _("%(policy)s answers again.") % {"policy": deployment.checkpoint}
        )
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect("deployment-list", slug=slug)
