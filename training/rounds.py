"""One turn of the loop: which step comes next, what stops it, how it ends.

    freeze → [sft, where demonstrations are new] → reward → judge → best_of → ppo
    → evaluate → decide

Finishing a step creates the next run in the same transaction; a step that fails stops the round,
resumable from there. Knows nothing of how a run is carried out, nor when a round begins by itself
(`training/rules.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from labeling.apart import apart
from labeling.models import Project, Split, User
from labeling.prompts import share_of_rankings
from labeling.refusals import Refusal
from training import checkpoints, datasets, deployments, evaluations, gate, runs
from training.locks import lock_project
from training.models import Checkpoint, Dataset, Evaluation, Plan, Round, Run
from training.plans import plan_of

MIN_EVALUATION_PROMPTS = 8
"""Without as many a round could come to no result; to deploy by itself takes more (the gate's)."""
BEFORE_PPO = (Round.Step.SFT, Round.Step.REWARD, Round.Step.JUDGE, Round.Step.BEST_OF)


class RoundUnderWay(Refusal):
    """At most one round of a project is under way."""

    code = "round_under_way"
    sentence = _("A round of this project is under way already.")


class RoundNotStopped(Refusal):
    """Only a stopped round can be resumed."""

    code = "round_not_stopped"
    sentence = _("This round has not stopped at a failed step.")


class RoundOver(Refusal):
    """Only an unfinished round can be cancelled."""

    code = "round_over"
    sentence = _("This round is over already.")


class TooFewEvaluationPrompts(Refusal):
    """A policy is compared on prompts that nobody ranks: without them nothing can be decided."""

    code = "too_few_evaluation_prompts"
    sentence = _(
        "A round compares policies on evaluation prompts, at least %(needed)s of them; this "
        "project has %(found)s. Add prompts: about one in six becomes one."
    )


class NothingToRefuse(Refusal):
    """Only a round that waits for a decision can be refused."""

    code = "round_not_waiting"
    sentence = _("This round does not wait for a decision.")


def start_round(
    *, project: Project, by: User | None = None, trigger: str = Round.Trigger.HAND
) -> Round:
    """Open a round. Its datasets are frozen by whoever works (`freeze`): that can take a while.

    An earlier round that still waits for a decision is closed as not deployed. Raises
    RoundUnderWay, ProjectIsArchived, TooFewEvaluationPrompts.
    """
    if project.archived_at is not None:
        raise runs.ProjectIsArchived
    found = datasets.evaluation_prompts_of(project).count()
    if found < MIN_EVALUATION_PROMPTS:
        raise TooFewEvaluationPrompts(found=found, needed=MIN_EVALUATION_PROMPTS)
    if Round.objects.unfinished().filter(project=project).exists():
        raise RoundUnderWay
    plan_of(project)
    try:
        with transaction.atomic():
            number = project.rounds.aggregate(last=Max("number"))["last"] or 0
            project.rounds.filter(state=Round.State.WAITING).update(
                state=Round.State.REFUSED, finished_at=Now()
            )
            return Round.objects.create(
                project=project,
                number=number + 1,
                step=Round.Step.FREEZE,
                trigger=trigger,
                started_by=by,
                rankings_at_start=datasets.training_rankings(project).count(),
            )
    except IntegrityError as error:
        raise RoundUnderWay from error


def freeze(round_: Round) -> None:
    """Freeze the datasets of a round that has begun, and queue its first run.

    Two at a time do no harm: one of them finds the round gone on, as it finds one that was
    cancelled meanwhile, and leaves it so. Raises InvalidConfig, and OSError where the files can't
    be written: the round then stays at this step, and the next call tries again.
    """
    project, by = round_.project, round_.started_by
    wanted = plan_of(project).evaluation_prompts
    deployments.current_or_first(project)
    base = checkpoints.base_checkpoint(project)
    frozen = [
        datasets.freeze_rankings(project=project, by=by),
        datasets.freeze_prompts(project=project, evaluation_prompts=wanted, by=by),
    ]
    demonstrations = datasets.freeze_demonstrations(project=project, by=by)
    texts = datasets.freeze_texts(project=project, by=by)
    frozen += [dataset for dataset in (demonstrations, texts) if dataset.rows]
    step = Round.Step.REWARD
    outside = checkpoints.outside_base(project)
    if _sft_is_due(demonstrations, outside):
        step, base = Round.Step.SFT, outside
    with transaction.atomic():
        lock_project(project.pk)
        begun = Round.objects.filter(pk=round_.pk, state=Round.State.OPEN, step=Round.Step.FREEZE)
        if not begun.update(step=step, rankings_at_start=datasets.rankings_in(frozen[0])):
            return
        round_.refresh_from_db()
        round_.datasets.set(frozen)
        _queue(round_, base)


def _sft_is_due(demonstrations: Dataset, outside: Checkpoint) -> bool:
    """Whether these demonstrations have not yet made a base of the model from outside."""
    done = Checkpoint.objects.filter(
        project=demonstrations.project,
        kind=Checkpoint.Kind.BASE,
        run__datasets=demonstrations,
        run__base=outside,
    )
    return demonstrations.rows > 0 and not done.exists()


def resume_round(*, round_: Round) -> Round:
    """Go on from the failed step. Raises RoundNotStopped."""
    if round_.state != Round.State.STOPPED:
        raise RoundNotStopped
    failed = round_.runs.filter(state__in=[Run.State.FAILED, Run.State.CANCELLED]).first()
    if failed is None:
        raise RoundNotStopped
    runs.resume_run(run=failed)
    round_.refresh_from_db()
    return round_


def cancel_round(*, round_: Round) -> Round:
    """End the round, and its run where one is live. Raises RoundOver."""
    with transaction.atomic():
        unfinished = Round.objects.unfinished().filter(pk=round_.pk)
        if not unfinished.update(state=Round.State.CANCELLED, finished_at=Now()):
            raise RoundOver
    for run in Run.objects.live().filter(round=round_):
        try:
            runs.cancel_run(run=run)
        except runs.RunNotLive:
            continue  # it ended by itself meanwhile
    round_.refresh_from_db()
    return round_


def refuse_round(*, round_: Round) -> Round:
    """A manager decides against the policy. It is never a start. Raises NothingToRefuse."""
    waiting = Round.objects.filter(pk=round_.pk, state=Round.State.WAITING)
    if not waiting.update(state=Round.State.REFUSED, finished_at=Now()):
        raise NothingToRefuse
    round_.refresh_from_db()
    return round_


def advance(run: Run, results: Mapping[str, Any]) -> None:
    """The run succeeded: queue the next step, or end the round.

    Call inside the transaction that closes the run, after its checkpoint or evaluation is
    recorded. A round that was cancelled meanwhile stays so: its row is locked until then.
    """
    if run.round_id is None:
        return
    lock_project(run.project_id)
    round_ = Round.objects.select_for_update(no_key=True).get(pk=run.round_id)
    if round_.state != Round.State.OPEN or round_.step != run.kind:
        return
    if run.kind == Run.Kind.REWARD and not gate.reward_model_holds(results):
        more = gate.more_rankings_needed(
            rankings=round_.rankings_at_start,
            value=results.get("oof_accuracy"),
            low=results.get("oof_low"),
        )
        _need(round_, more)
    elif run.kind == Run.Kind.BEST_OF and not gate.best_of_holds(results):
        _need(round_, gate.half_as_many_again(round_.rankings_at_start))
    elif run.kind == Run.Kind.EVALUATE:
        _decide(round_, Evaluation.objects.get(run=run))
    else:
        steps = list(Round.Step)
        round_.step = steps[steps.index(Round.Step(round_.step)) + 1]
        round_.save(update_fields=["step"])
        _queue(round_, _base_of(round_, run))


def ended_for_want_of_rankings(run: Run, *, found: int, needed: int) -> None:
    """The run failed because there are too few rankings: so its round ends, saying how many.

    found, needed: of the split that the run learns from, which only a share of the rankings is in.
    Call inside the transaction that fails the run.
    """
    if run.round is None:
        return
    split = Split.JUDGE if run.kind == Run.Kind.JUDGE else Split.TRAIN
    _need(run.round, math.ceil(max(needed - found, 1) / share_of_rankings(split)))


def _need(round_: Round, more: int) -> None:
    """End the round: about so many more rankings are needed."""
    Round.objects.unfinished().filter(pk=round_.pk).update(
        state=Round.State.NEEDS_RANKINGS, rankings_needed=more, finished_at=Now()
    )


def _decide(round_: Round, evaluation: Evaluation) -> None:
    """Deploy where the gate is met and the plan allows it; else wait for the manager."""
    decided = Round.objects.filter(pk=round_.pk, state=Round.State.OPEN).update(
        step=Round.Step.DECIDE, state=Round.State.WAITING
    )
    if decided:
        _deploy_if_met(plan_of(round_.project), evaluation)


def _deploy_if_met(plan: Plan, evaluation: Evaluation) -> None:
    if plan.deploys_by_itself and gate.gate_of(evaluation).holds:
        deployments.deploy_by_itself(evaluation)


def reconsider_waiting() -> None:
    """Labelers' blind votes may have come in: deploy by itself what meets the gate now."""
    waiting = Round.objects.filter(
        state=Round.State.WAITING,
        project__archived_at=None,
        project__plan__deploys_by_itself=True,
    )
    for round_ in waiting.select_related("project__plan"):
        with apart("reconsidering a round", round_):
            evaluation = round_.evaluations.first()
            if evaluation is not None and evaluations.blind_slates(evaluation).exists():
                _deploy_if_met(round_.project.plan, evaluation)


def _base_of(round_: Round, run: Run) -> Checkpoint:
    """The whole model that the round works on: its own SFT's result, or the run's base."""
    own = Checkpoint.objects.filter(run__round=round_, kind=Checkpoint.Kind.BASE).first()
    return own or run.base


def _queue(round_: Round, base: Checkpoint) -> Run:
    """Put the round's present step into the queue."""
    kind = Run.Kind(round_.step)
    made = {
        one.kind: one
        for one in Checkpoint.objects.filter(run__round=round_, run__kind__in=list(Run.Kind))
    }
    deployed = deployments.current_or_first(round_.project).checkpoint
    reward, judge = made.get(Checkpoint.Kind.REWARD), made.get(Checkpoint.Kind.JUDGE)
    start = None
    if kind == Run.Kind.PPO and deployed.base_id == base.pk:
        start = deployed
    if kind == Run.Kind.EVALUATE:
        start = made[Checkpoint.Kind.POLICY]
    inputs = runs.Inputs(
        base=base,
        start=start,
        deployed=checkpoints.comparable(deployed, base) if kind == Run.Kind.EVALUATE else None,
        reward=reward if kind in (Run.Kind.BEST_OF, Run.Kind.PPO) else None,
        judge=judge if kind in (Run.Kind.BEST_OF, Run.Kind.PPO, Run.Kind.EVALUATE) else None,
        datasets=_datasets_for(round_, kind),
    )
    return runs.create_run(
        project=round_.project,
        kind=kind,
        inputs=inputs,
        by=round_.started_by,
        round_=round_,
        seed=round_.number,
    )


def _datasets_for(round_: Round, kind: str) -> list[Dataset]:
    kinds = {
        Run.Kind.SFT: [Dataset.Kind.DEMONSTRATIONS],
        Run.Kind.REWARD: [Dataset.Kind.RANKINGS, Dataset.Kind.DEMONSTRATIONS],
        Run.Kind.JUDGE: [Dataset.Kind.RANKINGS],
        Run.Kind.PPO: [Dataset.Kind.PROMPTS, Dataset.Kind.TEXTS],
    }.get(Run.Kind(kind), [Dataset.Kind.PROMPTS])
    return list(round_.datasets.filter(kind__in=kinds))
