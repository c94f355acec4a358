"""The queue of runs: created, claimed, renewed, finished, given back, cancelled. Rows only.

The row is the truth; a broker message is a nudge. Every write after a claim names the attempt it
belongs to and changes nothing where another attempt has taken over (fencing). Times are the
database's. Knows nothing of processes, files or the steps of a round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from labeling.models import Project, User
from labeling.refusals import Refusal
from training import evaluations
from training.errors import explain, kept
from training.models import (
    Checkpoint,
    Dataset,
    Round,
    Run,
    RunMetric,
    RunResult,
    RunSample,
)
from training.plans import plan_of
from training.run_configs import REWARDED, changed_config, run_config

MAX_DEATHS = 3
"""A run whose process ended without a result this often has failed."""


class RunNotLive(Refusal):
    """Only a queued or running run can be cancelled."""

    code = "run_not_live"
    sentence = _("This run is over already.")


class RunNotResumable(Refusal):
    """Only a run that failed or was cancelled can be resumed."""

    code = "run_not_resumable"
    sentence = _("Only a run that failed or was cancelled can be resumed.")


class RunNeedsCheckpoint(Refusal):
    """PPO needs a reward model, evaluation a candidate and a judge."""

    code = "run_needs_checkpoint"
    status = 400
    sentence = _("This run needs a checkpoint that is not there yet: %(missing)s.")


class ProjectIsArchived(Refusal):
    """An archived project trains nothing."""

    code = "project_archived"
    sentence = _("This project is archived. Restore it to train.")


class ClaimLost(Exception):  # noqa: N818  # like StopIteration: another attempt owns the run now
    """The run belongs to another attempt, or is over; nothing was written."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a follower read from a run directory since it last looked."""

    step: int | None = None
    total_steps: int | None = None
    seconds_left: float | None = None
    metrics: Sequence[tuple[int, str, float]] = ()
    """(step, name, value)."""
    samples: Sequence[Mapping[str, Any]] = ()
    """Rows of samples.jsonl."""
    first_sample: int = 0
    """Number of the first of `samples` within the run."""
    log_tail: str | None = None


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The checkpoints that a run is made of; see the fields of the same names on Run."""

    base: Checkpoint
    start: Checkpoint | None = None
    deployed: Checkpoint | None = None
    reward: Checkpoint | None = None
    judge: Checkpoint | None = None
    datasets: Iterable[Dataset] = field(default=())


def create_run(
    *,
    project: Project,
    kind: str,
    inputs: Inputs,
    by: User | None = None,
    round_: Round | None = None,
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
) -> Run:
    """Put a run into the queue with its frozen config.

    Raises InvalidConfig, or RunNeedsCheckpoint where `inputs` lacks what the kind needs.
    """
    _check_inputs(kind, inputs)
    plan = plan_of(project)
    with transaction.atomic():
        config = run_config(
            plan=plan,
            project=project,
            kind=kind,
            seed=seed,
            look=evaluations.next_look(project) if kind == Run.Kind.EVALUATE else 1,
            base_source=inputs.base.source.name if inputs.base.source is not None else None,
            has_texts=any(one.kind == Dataset.Kind.TEXTS for one in inputs.datasets),
            changes=changes,
        )
        run = Run(project=project, round=round_, kind=kind, config=config, created_by=by)
        return _insert(run, inputs)


def repeat_run(*, run: Run, changes: Mapping[str, Any], by: User | None) -> Run:
    """The same run once more with `changes` to its config, outside of any round.

    Raises InvalidConfig, ProjectIsArchived.
    """
    _refuse_archived(run)
    before = run.config
    with transaction.atomic():
        if run.kind == Run.Kind.EVALUATE:
            before = before | {"look": evaluations.next_look(run.project)}
        config = changed_config(kind=run.kind, config=before, changes=changes)
        again = Run(project=run.project, kind=run.kind, config=config, repeats=run, created_by=by)
        return _insert(again, inputs_of(run))


def _refuse_archived(run: Run) -> None:
    if Project.objects.filter(pk=run.project_id, archived_at__isnull=False).exists():
        raise ProjectIsArchived


def inputs_of(run: Run) -> Inputs:
    """What a run was made of."""
    return Inputs(
        base=run.base,
        start=run.start,
        deployed=run.deployed,
        reward=run.reward,
        judge=run.judge,
        datasets=list(run.datasets.all()),
    )


def _check_inputs(kind: str, inputs: Inputs) -> None:
    missing = []
    if kind in (*REWARDED, Run.Kind.BEST_OF) and inputs.reward is None:
        missing.append(str(Checkpoint.Kind.REWARD.label))
    if kind in (Run.Kind.BEST_OF, Run.Kind.EVALUATE) and inputs.judge is None:
        missing.append(str(Checkpoint.Kind.JUDGE.label))
    if kind == Run.Kind.EVALUATE and inputs.start is None:
        missing.append(str(Checkpoint.Kind.POLICY.label))
    if missing:
        raise RunNeedsCheckpoint(missing=", ".join(missing))


def _insert(run: Run, inputs: Inputs) -> Run:
    run.base, run.start, run.deployed = inputs.base, inputs.start, inputs.deployed
    run.reward, run.judge = inputs.reward, inputs.judge
    run.save(force_insert=True)
    run.datasets.set(inputs.datasets)
    return run


def describe_error(run: Run) -> str:
    """Why the run failed, in one sentence in the active language; empty where it didn't."""
    return explain(run.error_code, run.error_values)


# --- the queue ---------------------------------------------------------------------------------


def _lapsed() -> Q:
    """Running, but whoever claimed it has not renewed in time."""
    limit = Now() - timedelta(seconds=settings.RUN_LEASE_SECONDS)
    return Q(state=Run.State.RUNNING) & (Q(heartbeat_at=None) | Q(heartbeat_at__lt=limit))


def claimable() -> QuerySet[Run]:
    """Runs that a worker may take up: queued, or given up by a worker that died; oldest first.

    Those of archived projects wait until the project is restored.
    """
    free = Q(state=Run.State.QUEUED) | _lapsed()
    # A subquery, not a join: the claim is one UPDATE whose conditions hold for the row itself.
    restored = Q(project__in=Project.objects.open())
    return Run.objects.filter(free, restored, cancel_requested_at=None).order_by("pk")


def held() -> QuerySet[Run]:
    """Running, under a claim that is renewed."""
    limit = Now() - timedelta(seconds=settings.RUN_LEASE_SECONDS)
    return Run.objects.filter(state=Run.State.RUNNING, heartbeat_at__gte=limit)


def claim_next(*, worker: str, device: str) -> Run | None:
    """Take up the oldest run for `device`, unless one is live there. None: nothing to do.

    One conditional UPDATE decides; of two workers that want the same run one gets it.
    """
    busy = held().filter(device=device)
    while (candidate := claimable().values("pk", "attempt").first()) is not None:
        if busy.exists():
            return None
        claimed = (
            claimable()
            .filter(~Exists(busy.exclude(pk=OuterRef("pk"))), **candidate)
            .order_by()
            .update(
                state=Run.State.RUNNING,
                attempt=F("attempt") + 1,
                worker=worker,
                device=device,
                heartbeat_at=Now(),
                started_at=Coalesce("started_at", Now()),
                error_code="",
                error_values={},
            )
        )
        if claimed:
            return Run.objects.get(pk=candidate["pk"], attempt=candidate["attempt"] + 1)
    return None


def _owned(run: Run) -> QuerySet[Run]:
    return Run.objects.filter(pk=run.pk, attempt=run.attempt, state=Run.State.RUNNING)


def is_ours(run: Run) -> bool:
    """Whether this attempt still holds the claim."""
    return _owned(run).exists()


def renew(run: Run) -> bool:
    """Keep the claim; True where somebody has asked for a cancel. Raises ClaimLost."""
    if not _owned(run).update(heartbeat_at=Now()):
        raise ClaimLost
    return _owned(run).filter(cancel_requested_at__isnull=False).exists()


def record_progress(run: Run, progress: Progress) -> None:
    """Copy what a follower read into rows. The same again changes nothing. Raises ClaimLost."""
    values: dict[str, Any] = {"heartbeat_at": Now()}
    for name in ("step", "total_steps", "seconds_left", "log_tail"):
        if getattr(progress, name) is not None:
            values[name] = getattr(progress, name)
    metrics = [
        RunMetric(run_id=run.pk, step=step, name=name, value=value)
        for step, name, value in progress.metrics
    ]
    samples = [
        RunSample(
            run_id=run.pk,
            number=progress.first_sample + index,
            step=int(row["step"]),
            prompt=str(row["prompt"]),
            before=str(row.get("before", "")),
            after=str(row.get("after", "")),
            score=row.get("score"),
        )
        for index, row in enumerate(progress.samples)
    ]
    with transaction.atomic():
        if not _owned(run).update(**values):
            raise ClaimLost
        RunMetric.objects.bulk_create(
            metrics,
            batch_size=500,
            update_conflicts=True,
            unique_fields=["run", "name", "step"],
            update_fields=["value"],
        )
        RunSample.objects.bulk_create(
            samples,
            batch_size=100,
            update_conflicts=True,
            unique_fields=["run", "number"],
            update_fields=["step", "prompt", "before", "after", "score"],
        )


def succeed(run: Run, numbers: Mapping[str, float]) -> None:
    """Close the run with its final numbers; call it inside the transaction that takes the rest in.

    Raises ClaimLost.
    """
    with transaction.atomic():
        done = _owned(run).update(
            state=Run.State.SUCCEEDED, finished_at=Now(), heartbeat_at=None, seconds_left=0
        )
        if not done:
            raise ClaimLost
        RunResult.objects.filter(run_id=run.pk).delete()
        RunResult.objects.bulk_create(
            RunResult(run_id=run.pk, name=name, value=value) for name, value in numbers.items()
        )


def fail(run: Run, *, code: str, values: Mapping[str, Any]) -> None:
    """Close the run with an error, and stop its round there. Raises ClaimLost."""
    with transaction.atomic():
        failed = _owned(run).update(
            state=Run.State.FAILED,
            finished_at=Now(),
            heartbeat_at=None,
            seconds_left=None,
            error_code=code,
            error_values=kept(values),
        )
        if not failed:
            raise ClaimLost
        _stop_rounds([run.round_id])


def _stop_rounds(rounds: Iterable[int | None]) -> None:
    """A step of these ended without success: they wait there for someone to resume or cancel."""
    Round.objects.filter(pk__in=[pk for pk in rounds if pk], state=Round.State.OPEN).update(
        state=Round.State.STOPPED
    )


def give_back(run: Run) -> None:
    """Put a claimed run back at its place in the queue. Raises ClaimLost."""
    given = _owned(run).update(state=Run.State.QUEUED, worker="", device="", heartbeat_at=None)
    if not given:
        raise ClaimLost


def close_cancelled(run: Run) -> None:
    """Close a claimed run whose process has ended after a cancel. Raises ClaimLost."""
    with transaction.atomic():
        closed = _owned(run).update(
            state=Run.State.CANCELLED, finished_at=Now(), heartbeat_at=None, seconds_left=None
        )
        if not closed:
            raise ClaimLost
        _stop_rounds([run.round_id])


def cancel_run(*, run: Run) -> Run:
    """Ask for an end. A queued run ends at once, a running one within half a minute.

    Its round stops there, and goes on where the run is resumed. Raises RunNotLive.
    """
    live = Run.objects.live().filter(pk=run.pk)
    if not live.update(cancel_requested_at=Coalesce("cancel_requested_at", Now())):
        raise RunNotLive
    close_abandoned(only=run)
    run.refresh_from_db()
    return run


def close_abandoned(*, only: Run | None = None) -> int:
    """Close cancelled runs that no live worker holds. Returns how many."""
    unheld = Q(state=Run.State.QUEUED) | _lapsed()
    found = Run.objects.filter(unheld, cancel_requested_at__isnull=False)
    if only is not None:
        found = found.filter(pk=only.pk)
    rounds = dict(found.values_list("pk", "round_id"))
    if not rounds:
        return 0
    with transaction.atomic():
        closed = found.filter(pk__in=rounds).update(
            state=Run.State.CANCELLED, finished_at=Now(), heartbeat_at=None, seconds_left=None
        )
        cancelled = Run.objects.filter(pk__in=rounds, state=Run.State.CANCELLED)
        _stop_rounds(cancelled.values_list("round_id", flat=True))
    return closed


def resume_run(*, run: Run) -> Run:
    """Queue a failed or cancelled run again; it goes on from its last saved state.

    A round that had stopped at it goes on too. Raises RunNotResumable, also where the run's round
    is over: such a run can be repeated. Raises ProjectIsArchived.
    """
    _refuse_archived(run)
    ended = Q(state__in=[Run.State.FAILED, Run.State.CANCELLED])
    in_time = Q(round=None) | Q(round__state__in=[Round.State.OPEN, Round.State.STOPPED])
    with transaction.atomic():
        resumed = Run.objects.filter(
            ended, pk__in=Run.objects.filter(in_time, pk=run.pk).values("pk")
        ).update(
            state=Run.State.QUEUED,
            cancel_requested_at=None,
            finished_at=None,
            deaths=0,
            error_code="",
            error_values={},
        )
        if not resumed:
            raise RunNotResumable
        if run.round_id is not None:
            stopped = Round.objects.filter(pk=run.round_id, state=Round.State.STOPPED)
            stopped.update(state=Round.State.OPEN)
    run.refresh_from_db()
    return run


def results_of(run: Run) -> dict[str, float]:
    """The final numbers by name; empty before the end."""
    return dict(RunResult.objects.filter(run_id=run.pk).values_list("name", "value"))
