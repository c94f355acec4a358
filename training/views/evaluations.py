"""Evaluations: win rates with intervals, limits, what the gate says; the texts side by side."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_POST

from labeling.models import Project
from labeling.refusals import Refusal
from labeling.views.drawing import Dot
from training.deployments import current
from training.evaluations import blind_win_rate, open_blind_slates
from training.gate import gate_of
from training.models import Checkpoint, Evaluation, EvaluationText
from training.runs import results_of
from training.views.access import Place, SignedIn, managed_project, place_of, signed_in
from training.views.trust import trust_dots

PER_PAGE = 30
TEXTS_PER_PAGE = 20
MOST_BLIND = 1000
OUTCOMES = {
    "": gettext_lazy("all"),
    "won": gettext_lazy("the candidate won"),
    "lost": gettext_lazy("the candidate lost"),
}
RELATED = (
    *("run", "run__project", "run__judge", "round", "candidate", "deployed"),
    *(
        "candidate__project",
        "candidate__run",
        "candidate__run__reward",
        "candidate__run__reward__run",
    ),
)


def _evaluations(project: Project) -> QuerySet[Evaluation]:
    return Evaluation.objects.filter(run__project=project).select_related(*RELATED)


@signed_in
@require_GET
def evaluation_list(request: SignedIn, slug: str) -> HttpResponse:
    """All evaluations, newest first, each with its win rate as a dot."""
    place = place_of(request, slug)
    found = _evaluations(place.project).order_by("-pk")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    return render(
        request, "training/evaluation_list.html", {"project": place.project, "page": page}
    )


@signed_in
@require_GET
def evaluation(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """One evaluation: may this policy be deployed, and why (not)?"""
    place = place_of(request, slug)
    shown = get_object_or_404(_evaluations(place.project), pk=pk)
    gate, results = gate_of(shown), results_of(shown.run)
    context = {
        "project": place.project,
        "evaluation": shown,
        "gate": gate,
        "base_is_deployed": shown.deployed.kind == Checkpoint.Kind.BASE,
        "win_dots": win_dots(shown, results),
        "trust_dots": trust_dots(shown.candidate),
        "numbers": _numbers(shown, results),
        **_actions(place, shown),
    }
    return render(request, "training/evaluation.html", context)


def _actions(place: Place, shown: Evaluation) -> dict[str, Any]:
    deployed = current(place.project)
    is_deployed = deployed is not None and deployed.checkpoint_id == shown.candidate_id
    gone = shown.candidate.files_removed_at is not None
    return {
        "can_act": place.can_act,
        "is_deployed": is_deployed,
        "deployable": place.can_act and not is_deployed and not gone,
    }


def win_dots(shown: Evaluation, results: dict[str, float]) -> list[Dot]:
    """The judge's and the labelers' comparisons, one row each, with 95 % intervals."""
    blind = blind_win_rate(shown)
    dots = [
        Dot(
            label=_("Judge: over the deployed policy"),
            value=shown.win_rate,
            low=shown.win_low,
            high=shown.win_high,
            hue="judge",
        ),
        Dot(
            label=_("Labelers, blind: over the deployed policy"),
            value=blind.rate if blind else None,
            low=blind.low if blind else None,
            high=blind.high if blind else None,
            note=ngettext("%(n)s comparison", "%(n)s comparisons", blind.comparisons)
            % {"n": blind.comparisons}
            if blind
            else _("nobody was asked, or nobody has answered yet"),
            hue="labelers",
        ),
    ]
    if shown.deployed.kind != Checkpoint.Kind.BASE:
        over_base = Dot(
            label=_("Judge: over the base"),
            value=shown.base_win_rate,
            low=shown.base_win_low,
            high=shown.base_win_high,
            hue="base",
        )
        dots.append(over_base)
    return [*dots, *_matched_dot(results)]


def _matched_dot(results: dict[str, float]) -> list[Dot]:
    """The win rate over the base where both texts are about as long; older runs have none."""
    if "base_win_matched_prompts" not in results:
        return []
    prompts = int(results["base_win_matched_prompts"])
    rate = results.get("base_win_matched_rate")
    note = ngettext("%(n)s prompt", "%(n)s prompts", prompts) % {"n": prompts}
    if rate is None:
        note = _("too few: %(prompts)s") % {"prompts": note}
    return [
        Dot(
            label=_("Judge: over the base, lengths within 20 %"),
            value=rate,
            low=results.get("base_win_matched_low"),
            high=results.get("base_win_matched_high"),
            note=note,
            hue="base",
        )
    ]


def _numbers(shown: Evaluation, results: dict[str, float]) -> list[tuple[str, list[float | None]]]:
    """Rows of the table beside the win rate: candidate, deployed, base."""
    get = results.get
    return [
        (_("KL to the base, nats per completion"), [shown.kl, get("deployed_kl"), 0.0]),
        (_("Length, tokens"), [shown.length, get("deployed_length"), shown.base_length]),
        (_("Distinct-2"), [shown.distinct2, get("deployed_distinct2"), shown.base_distinct2]),
        (
            _("Ends by itself, share"),
            [shown.finished_share, get("deployed_finished_share"), get("base_finished_share")],
        ),
        (_("Judge's mean score"), [get("score"), get("deployed_score"), get("base_score")]),
    ]


@signed_in
@require_GET
def evaluation_texts(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """What each policy wrote for the evaluation prompts, side by side."""
    place = place_of(request, slug)
    shown = get_object_or_404(_evaluations(place.project), pk=pk)
    outcome = request.GET.get("outcome", "")
    texts = _with_outcome(shown.texts.select_related("prompt"), outcome).order_by("pk")
    context = {
        "project": place.project,
        "evaluation": shown,
        "page": Paginator(texts, TEXTS_PER_PAGE).get_page(request.GET.get("page")),
        "outcomes": OUTCOMES.items(),
        "outcome": outcome,
        "base_is_deployed": shown.deployed.kind == Checkpoint.Kind.BASE,
    }
    return render(request, "training/evaluation_texts.html", context)


def _with_outcome(texts: QuerySet[EvaluationText], outcome: str) -> QuerySet[EvaluationText]:
    """Only where the judge preferred the candidate to the deployed policy, or the other way."""
    compared = texts.annotate(other_score=Coalesce("deployed_score", "base_score"))
    if outcome == "won":
        return compared.filter(candidate_score__gt=F("other_score"))
    if outcome == "lost":
        return compared.filter(candidate_score__lt=F("other_score"))
    return texts


@signed_in
@require_POST
def evaluation_ask(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Put blind comparisons of the two policies before the labelers."""
    project = managed_project(request, slug)
    shown = get_object_or_404(_evaluations(project), pk=pk)
    number = request.POST.get("count", "")
    if not number.isdecimal() or len(number) > 9 or not 1 <= int(number) <= MOST_BLIND:
        messages.error(request, _("How many? A number from 1 to %(most)s.") % {"most": MOST_BLIND})
        return redirect("evaluation", slug=slug, pk=pk)
    try:
        asked = open_blind_slates(shown, count=int(number))
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect("evaluation", slug=slug, pk=pk)
    sentence = ngettext(
        "%(n)s blind comparison is with the labelers.",
        "%(n)s blind comparisons are with the labelers.",
        asked,
    )
    messages.success(request, sentence % {"n": asked})
    return redirect("evaluation", slug=slug, pk=pk)
