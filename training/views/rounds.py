"""Rounds: started by hand, their steps with state, stopped, resumed, decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.refusals import Refusal
from training.models import Checkpoint, Evaluation, Round, Run, RunResult
from training.plans import plan_of
from training.rounds import cancel_round, refuse_round, resume_round, start_round
from training.rules import new_rankings, why_not_frozen
from training.runs import describe_error
from training.views.access import SignedIn, managed_project, place_of, signed_in
from training.views.run_page import share_done

PER_PAGE = 20

HEADLINES = {
    Run.Kind.SFT: ("validation_loss", gettext_lazy("held-out loss")),
    Run.Kind.REWARD: ("oof_accuracy", gettext_lazy("accuracy, out of fold, unweighted")),
    Run.Kind.JUDGE: ("oof_accuracy", gettext_lazy("accuracy, out of fold, unweighted")),
    Run.Kind.BEST_OF: ("best_of_win_rate", gettext_lazy("best-of-n over the base")),
    Run.Kind.PPO: ("kl", gettext_lazy("nats of KL")),
    Run.Kind.EVALUATE: ("win_rate", gettext_lazy("win rate over the deployed")),
}
"""The one number of each step."""


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """A step of a round as its page shows it."""

    step: str
    label: str
    state: str
    """done, now, waits, failed or left out."""
    words: str
    """The state for people to read."""
    run: Run | None = None
    share: float | None = None
    headline: float | None = None
    headline_name: str = ""
    failure: str = ""

    @property
    def in_percent(self) -> bool:
        """True where the headline is a share."""
        return self.run is not None and self.run.kind not in (Run.Kind.PPO, Run.Kind.SFT)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def round_list(request: SignedIn, slug: str) -> HttpResponse:
    """All rounds, and the button that starts one."""
    if request.method == "POST":
        return _start(request, slug)
    place = place_of(request, slug)
    rounds = place.project.rounds.select_related("started_by").order_by("-number")
    context = {
        "project": place.project,
        "can_act": place.can_act,
        "page": Paginator(rounds, PER_PAGE).get_page(request.GET.get("page")),
        "unfinished": rounds.unfinished().first(),
        "plan": plan_of(place.project),
        "new_rankings": new_rankings(place.project),
    }
    return render(request, "training/round_list.html", context)


def _start(request: SignedIn, slug: str) -> HttpResponse:
    project = managed_project(request, slug)
    try:
        started = start_round(project=project, by=request.user)
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect("round-list", slug=slug)
    return redirect("round", slug=slug, number=started.number)


@signed_in
@require_safe
def round_page(request: SignedIn, slug: str, number: int) -> HttpResponse:
    """One round: its steps, what each found, what it waits for."""
    place = place_of(request, slug)
    rounds = place.project.rounds.select_related("started_by")
    shown = get_object_or_404(rounds, number=number)
    runs = list(shown.runs.select_related("checkpoint").order_by("pk"))
    context = {
        "project": place.project,
        "can_act": place.can_act,
        "round": shown,
        "steps": step_rows(shown, runs),
        "unfinished": shown.state in (Round.State.OPEN, Round.State.STOPPED),
        "live": shown.state == Round.State.OPEN,
        "evaluation": _evaluation(shown),
        "datasets": shown.datasets.all(),
        "made": Checkpoint.objects.filter(run__in=runs).order_by("pk"),
    }
    template = "training/round.html"
    return render(request, f"{template}#steps" if request.htmx else template, context)


def _evaluation(shown: Round) -> Evaluation | None:
    return shown.evaluations.select_related("candidate", "deployed").order_by("-pk").first()


def step_rows(shown: Round, runs: list[Run]) -> list[StepRow]:
    """The round's steps in order; supervised fine-tuning only where the round had it."""
    latest = {run.kind: run for run in runs}
    numbers = {(row.run_id, row.name): row.value for row in RunResult.objects.filter(run__in=runs)}
    steps = [step for step in Round.Step if step != Round.Step.SFT or Run.Kind.SFT in latest]
    return [_step_row(shown, step, latest.get(str(step)), numbers) for step in steps]


def _step_row(
    shown: Round, step: Round.Step, run: Run | None, numbers: dict[tuple[int, str], float]
) -> StepRow:
    if run is None:
        return _step_without_run(shown, step)
    name, words = HEADLINES[Run.Kind(run.kind)]
    return StepRow(
        step=step,
        label=str(step.label),
        state={"succeeded": "done", "failed": "failed", "cancelled": "failed"}.get(
            run.state, "now"
        ),
        words=str(run.get_state_display()),
        run=run,
        share=share_done(run),
        headline=numbers.get((run.pk, name)),
        headline_name=str(words),
        failure=describe_error(run),
    )


def _step_without_run(shown: Round, step: Round.Step) -> StepRow:
    state, failure = _state_without_run(shown, step), ""
    said = {"left out": _("not reached"), "waits": _("to come")}
    if step == Round.Step.FREEZE:
        said |= {
            "now": _("being frozen"),
            "failed": _("is tried again"),
            "done": _("frozen"),
        }
        failure = why_not_frozen(shown) if state == "failed" else ""
    elif step == Round.Step.DECIDE:
        said |= {"now": _("waits for a manager"), "done": shown.get_state_display()}
    return StepRow(
        step=step, label=str(step.label), state=state, words=said[state], failure=failure
    )


def _state_without_run(shown: Round, step: Round.Step) -> str:
    """Of the steps that are no run (freeze, decide), and of those whose run is not yet there."""
    order = list(Round.Step)
    if step == Round.Step.DECIDE and shown.step == step:
        return "now" if shown.state == Round.State.WAITING else "done"
    if step == Round.Step.FREEZE and shown.is_freezing:
        return "failed" if shown.freeze_problem else "now"
    passed = order.index(step) < order.index(Round.Step(shown.step))
    if step == Round.Step.FREEZE and passed:
        return "done"
    over = shown.state not in (Round.State.OPEN, Round.State.STOPPED)
    return "left out" if over or passed else "waits"


@signed_in
@require_POST
def round_resume(request: SignedIn, slug: str, number: int) -> HttpResponse:
    """Go on from the failed step."""
    return _act(request, slug, number, resume_round, _("The round goes on from its failed step."))


@signed_in
@require_POST
def round_cancel(request: SignedIn, slug: str, number: int) -> HttpResponse:
    """End the round; what its finished steps made is kept."""
    said = _("The round is cancelled. What it had made is kept.")
    return _act(request, slug, number, cancel_round, said)


@signed_in
@require_POST
def round_refuse(request: SignedIn, slug: str, number: int) -> HttpResponse:
    """Decide against the policy that waits."""
    said = _("Not deployed. The present policy goes on answering.")
    return _act(request, slug, number, refuse_round, said)


class _Verb(Protocol):
    """What can be done to a round."""

    def __call__(self, *, round_: Round) -> Round: ...


def _act(request: SignedIn, slug: str, number: int, verb: _Verb, said: str) -> HttpResponse:
    """Do it, say so or why not, and show the round."""
    shown = get_object_or_404(Round, project=managed_project(request, slug), number=number)
    try:
        verb(round_=shown)
        messages.success(request, said)
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect("round", slug=slug, number=number)
