"""When a round begins by itself, and its first step: what each tick looks for.

Knows nothing of a round's further steps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone

from labeling.apart import apart
from labeling.completions import storable
from labeling.models import Project
from labeling.refusals import Refusal
from training import datasets
from training.errors import explain
from training.full_disk import DiskIsFull, full_disk_refused
from training.models import Round
from training.plans import plan_of
from training.rounds import RoundUnderWay, TooFewEvaluationPrompts, freeze, start_round


def new_rankings(project: Project) -> int:
    """Training rankings since the last round began (since ever, where there was none)."""
    last = project.rounds.order_by("-number").first()
    now = datasets.training_rankings(project).count()
    return max(now - (last.rankings_at_start if last is not None else 0), 0)


def wants_rankings(project: Project) -> bool:
    """Whether a round waits for rankings: by the project's rule, or since the last had too few."""
    wanted = plan_of(project).after_rankings or 0
    last = project.rounds.order_by("-number").first()
    if last is not None and last.state == Round.State.NEEDS_RANKINGS:
        wanted = max(wanted, last.rankings_needed or 0)
    return new_rankings(project) < wanted


def due(project: Project) -> Round.Trigger | None:
    """Which of the project's rules asks for a round now; None: none does."""
    plan = plan_of(project)
    if plan.after_rankings is None and plan.every_hours is None:
        return None
    if Round.objects.unfinished().filter(project=project).exists():
        return None
    fresh = new_rankings(project)
    if plan.after_rankings is not None and fresh >= max(plan.after_rankings, 1):
        return Round.Trigger.RANKINGS
    if plan.every_hours is not None and fresh:
        last = project.rounds.order_by("-number").first()
        since = last.created_at if last is not None else project.created_at
        if timezone.now() - since >= timedelta(hours=plan.every_hours):
            return Round.Trigger.HOURS
    return None


def start_due_rounds() -> list[Round]:
    """Start a round wherever a project's rules ask for one. One that is refused is left alone.

    One project's error is logged and keeps no other from its round.
    """
    started = []
    for project in Project.objects.open():
        refused = contextlib.suppress(RoundUnderWay, TooFewEvaluationPrompts)
        with apart("starting a round", project), refused:
            trigger = due(project)
            if trigger is not None:
                started.append(start_round(project=project, trigger=trigger))
    return started


def freeze_begun_rounds() -> None:
    """Freeze the datasets of every round that has begun; what stops one is kept for its page."""
    begun = Round.objects.filter(state=Round.State.OPEN, step=Round.Step.FREEZE)
    for round_ in begun.select_related("project", "started_by").order_by("pk"):
        with apart("freezing a round's datasets", round_), _noted(round_):
            freeze(round_)


@contextlib.contextmanager
def _noted(round_: Round) -> Iterator[None]:
    """Keep what stops a round's datasets, for the pages, and forget it once they are frozen.

    Where the disk is full the database may take nothing either: then only the log has it.
    """
    row = Round.objects.filter(pk=round_.pk)
    try:
        with full_disk_refused():
            yield
    except DiskIsFull:
        row.update(freeze_problem=DiskIsFull.code)
        raise
    except Exception as error:
        said = error.message if isinstance(error, Refusal) else f"{type(error).__name__}: {error}"
        row.update(freeze_problem=storable(said)[:400])
        raise
    row.exclude(freeze_problem="").update(freeze_problem="")


def why_not_frozen(round_: Round) -> str:
    """A sentence: what stops the round's datasets, which are tried again at each tick; or empty."""
    if round_.freeze_problem == DiskIsFull.code:
        return str(DiskIsFull.sentence)
    return explain("internal", {"message": round_.freeze_problem}) if round_.freeze_problem else ""
