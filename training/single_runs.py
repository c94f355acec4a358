"""One run by itself, outside any round, on the newest of everything that it needs.

For researchers and the API. A round freezes its inputs once for all of its steps; a single run
freezes its own. Knows nothing of how a run is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from labeling.models import Project, User
from labeling.refusals import Refusal
from training import checkpoints, datasets, deployments, runs
from training.models import Checkpoint, Dataset, Run
from training.plans import plan_of
from training.runs import ProjectIsArchived


class NothingToTrainOn(Refusal):
    """The dataset that the run would be trained on has no rows."""

    code = "nothing_to_train_on"
    sentence = _("There is nothing to train on yet: this run needs %(rows)s.")


def start_run(
    *,
    project: Project,
    kind: Run.Kind | str,
    by: User | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Run:
    """Put a run of `kind` into the queue.

    Raises ProjectIsArchived, NothingToTrainOn, RunNeedsCheckpoint where an earlier step's result is
    not there yet, and InvalidConfig for `changes` that can't be run.
    """
    if project.archived_at is not None:
        raise ProjectIsArchived
    kind = Run.Kind(kind)
    return runs.create_run(
        project=project, kind=kind, inputs=_inputs(project, kind, by), by=by, changes=changes
    )


def _inputs(project: Project, kind: Run.Kind, by: User | None) -> runs.Inputs:
    """The newest checkpoints that fit together, and fresh datasets."""
    if kind == Run.Kind.SFT:
        base = checkpoints.outside_base(project)
        reward = checkpoints.latest(project, Checkpoint.Kind.REWARD, base=base)
        return runs.Inputs(base=base, reward=reward, datasets=_datasets(project, kind, by))
    base = checkpoints.base_checkpoint(project)
    if kind in (Run.Kind.REWARD, Run.Kind.JUDGE):
        return runs.Inputs(base=base, datasets=_datasets(project, kind, by))
    if kind == Run.Kind.DPO:
        judge = checkpoints.latest(project, Checkpoint.Kind.JUDGE, base=base)
        return runs.Inputs(base=base, judge=judge, datasets=_datasets(project, kind, by))
    deployed = deployments.current_or_first(project).checkpoint
    reward = checkpoints.latest(project, Checkpoint.Kind.REWARD, base=base)
    judge = checkpoints.latest(project, Checkpoint.Kind.JUDGE, base=base)
    start = deployed if deployed.base_id == base.pk else None
    compared = None
    if kind == Run.Kind.EVALUATE:
        start = checkpoints.latest(project, Checkpoint.Kind.POLICY, base=base)
        # Against itself a policy wins half: one that answers already is held against the base.
        compared = base if deployed == start else checkpoints.comparable(deployed, base)
    return runs.Inputs(
        base=base,
        start=None if kind == Run.Kind.BEST_OF else start,
        deployed=compared,
        reward=None if kind == Run.Kind.EVALUATE else reward,
        judge=judge,
        datasets=_datasets(project, kind, by),
    )


def _datasets(project: Project, kind: Run.Kind, by: User | None) -> list[Dataset]:
    """Freeze what the kind is trained on. Raises NothingToTrainOn."""
    if kind == Run.Kind.SFT:
        demonstrations = datasets.freeze_demonstrations(project=project, by=by)
        if not demonstrations.rows:
            raise NothingToTrainOn(rows=_("demonstrations"))
        return [demonstrations]
    if kind in (Run.Kind.REWARD, Run.Kind.JUDGE):
        rankings = datasets.freeze_rankings(project=project, by=by)
        if not rankings.rows:
            raise NothingToTrainOn(rows=_("rankings"))
        demonstrations = datasets.freeze_demonstrations(project=project, by=by)
        shifts = kind == Run.Kind.REWARD and demonstrations.rows
        return [rankings, demonstrations] if shifts else [rankings]
    count = plan_of(project).evaluation_prompts
    prompts = datasets.freeze_prompts(project=project, evaluation_prompts=count, by=by)
    if kind == Run.Kind.PPO:
        texts = datasets.freeze_texts(project=project, by=by)
        return [prompts, texts] if texts.rows else [prompts]
    if kind != Run.Kind.DPO:
        return [prompts]
    rankings = datasets.freeze_rankings(project=project, by=by)
    if not rankings.rows:
        raise NothingToTrainOn(rows=_("rankings"))
    return [rankings, prompts]
