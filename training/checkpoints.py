"""Versions of what was trained: recorded from runs, traced back and forward, cleaned up.

Knows nothing of how a run went; `training/outcomes.py` calls `record` inside its transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Max, OuterRef
from django.db.models.functions import Now

from labeling.completions import source_for
from labeling.models import Completion, Decision, Project, Ranking, Source
from training import artifacts
from training.locks import lock_project
from training.models import (
    Checkpoint,
    Dataset,
    DatasetDecision,
    DatasetRanking,
    Deployment,
    Evaluation,
    Round,
    Run,
)

if TYPE_CHECKING:
    from django.db.models import QuerySet

KIND_OF: dict[str, str] = {
    Run.Kind.SFT: Checkpoint.Kind.BASE,
    Run.Kind.REWARD: Checkpoint.Kind.REWARD,
    Run.Kind.JUDGE: Checkpoint.Kind.JUDGE,
    Run.Kind.PPO: Checkpoint.Kind.POLICY,
    Run.Kind.GRPO: Checkpoint.Kind.POLICY,
    Run.Kind.REJECTION: Checkpoint.Kind.POLICY,
    Run.Kind.DPO: Checkpoint.Kind.POLICY,
}
"""What a run of each kind leaves behind; the others leave numbers only."""
UNDER_WAY = (Round.State.OPEN, Round.State.STOPPED, Round.State.WAITING)
KEPT_UNDEPLOYED = 3
"""Files of this many of the newest undeployed checkpoints of each kind are kept."""


def base_checkpoint(project: Project) -> Checkpoint:
    """The newest whole model of the project: the last SFT's, or the project's base model."""
    outside = outside_base(project)
    newer = Checkpoint.objects.with_files().filter(
        project=project, kind=Checkpoint.Kind.BASE, version__gt=outside.version
    )
    return newer.order_by("-version").first() or outside


def outside_base(project: Project) -> Checkpoint:
    """The project's base model as it came from outside, before any SFT.

    Made the first time it is asked for; a changed base model of the project is a new version.
    """
    location = project.base_model or settings.MODEL
    bases = Checkpoint.objects.filter(project=project, kind=Checkpoint.Kind.BASE, run=None)
    newest = bases.order_by("-version").first()
    if newest is not None and newest.location == location:
        return newest
    with transaction.atomic():
        lock_project(project.pk)
        newest = bases.order_by("-version").first()
        if newest is not None and newest.location == location:
            return newest  # somebody else was first
        return _insert(Checkpoint(project=project, kind=Checkpoint.Kind.BASE, location=location))


def root_of(checkpoint: Checkpoint) -> Checkpoint:
    """The model from outside that a checkpoint grew from, through SFT or not."""
    whole = checkpoint if checkpoint.base is None else checkpoint.base
    while whole.started_from is not None:
        whole = whole.started_from
    return whole


def comparable(deployed: Checkpoint, base: Checkpoint) -> Checkpoint:
    """What stands for `deployed` in a comparison on `base`: itself, or the base.

    A policy of another base model shares no tokens with this one.
    """
    return deployed if root_of(deployed) == root_of(base) else base


def record(run: Run, *, artifact: str, sha256: str) -> Checkpoint | None:
    """The checkpoint that a finished run left, or None for a kind that leaves none.

    Call inside the transaction that closes the run. The same run records one, however often.
    """
    kind = KIND_OF.get(run.kind)
    if kind is None:
        return None
    existing = Checkpoint.objects.filter(run=run).first()
    if existing is not None:
        return existing
    return _insert(
        Checkpoint(
            project=run.project,
            kind=kind,
            run=run,
            artifact=artifact,
            sha256=sha256,
            base=None if kind == Checkpoint.Kind.BASE else run.base,
            started_from=run.base if kind == Checkpoint.Kind.BASE else run.start,
        )
    )


def _insert(checkpoint: Checkpoint) -> Checkpoint:
    """Save with the next version of its kind; a base or policy gets its labeling source."""
    with transaction.atomic():
        lock_project(checkpoint.project_id)  # two runs of a project may end at the same moment
        siblings = Checkpoint.objects.filter(project=checkpoint.project, kind=checkpoint.kind)
        newest = siblings.aggregate(newest=Max("version"))["newest"] or 0
        checkpoint.version = newest + 1
        if checkpoint.kind in (Checkpoint.Kind.BASE, Checkpoint.Kind.POLICY):
            policy = checkpoint.kind == Checkpoint.Kind.POLICY
            checkpoint.source = source_for(
                project=checkpoint.project,
                kind=Source.Kind.POLICY if policy else Source.Kind.BASE,
                name=f"{'policy' if policy else 'base'} {checkpoint.version}",
            )
        checkpoint.save(force_insert=True)
    return checkpoint


def latest(project: Project, kind: str, *, base: Checkpoint | None = None) -> Checkpoint | None:
    """The newest checkpoint of `kind` whose files are there (and that belongs to `base`)."""
    found = Checkpoint.objects.with_files().filter(project=project, kind=kind)
    if base is not None:
        found = found.filter(base=base)
    return found.order_by("-version").first()


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """A checkpoint's way back to the rankings, and forward to what it wrote."""

    checkpoint: Checkpoint
    run: Run | None
    datasets: list[Dataset]
    rankings: int
    decisions: int
    """Rankings in those datasets and in its parents' datasets, each counted once."""
    parents: list[Checkpoint]
    """Base, start, reward model and judge of its run, directly."""
    children: list[Checkpoint]
    """Made with it, directly."""
    deployments: list[Deployment]
    evaluations: list[Evaluation]
    completions: int
    """Completions that its source wrote."""


def ancestors(checkpoint: Checkpoint) -> list[Checkpoint]:
    """Everything that it grew from, nearest first, each once, itself left out. Two queries."""
    ways_back = ("base", "started_from", "run__base", "run__start", "run__reward", "run__judge")
    rows = Checkpoint.objects.filter(project=checkpoint.project_id).values_list("pk", *ways_back)
    above = {pk: [one for one in others if one is not None] for pk, *others in rows}
    found: dict[int, None] = {}
    level = [checkpoint.pk]
    while level:
        next_level = dict.fromkeys(one for pk in level for one in above.get(pk, ()))
        level = [pk for pk in next_level if pk not in found and pk != checkpoint.pk]
        found |= dict.fromkeys(level)
    everyone = Checkpoint.objects.in_bulk(list(found))
    return [everyone[pk] for pk in found]


def parents(checkpoint: Checkpoint) -> list[Checkpoint]:
    """What it was made with, directly."""
    related = [checkpoint.base, checkpoint.started_from]
    if checkpoint.run is not None:
        run = checkpoint.run
        related += [run.base, run.start, run.reward, run.judge]
    unique = {one.pk: one for one in related if one is not None and one.pk != checkpoint.pk}
    return list(unique.values())


def children(checkpoint: Checkpoint) -> list[Checkpoint]:
    """What was made with it, directly, oldest first."""
    runs: set[int] = set()
    for relation in ("base", "start", "reward", "judge"):
        runs.update(Run.objects.filter(**{relation: checkpoint}).values_list("pk", flat=True))
    return list(Checkpoint.objects.filter(run__in=runs).order_by("pk"))


def rankings_behind(checkpoint: Checkpoint) -> QuerySet[Ranking]:
    """The rankings from which it and everything it grew from were trained."""
    used = DatasetRanking.objects.filter(
        dataset__in=_datasets_behind(checkpoint), ranking=OuterRef("pk"), weight__gt=0
    )
    return Ranking.objects.filter(Exists(used))


def decisions_behind(checkpoint: Checkpoint) -> QuerySet[Decision]:
    """The adjudicators' decisions among what it and everything it grew from were trained on."""
    used = DatasetDecision.objects.filter(
        dataset__in=_datasets_behind(checkpoint), decision=OuterRef("pk"), weight__gt=0
    )
    return Decision.objects.filter(Exists(used))


def _datasets_behind(checkpoint: Checkpoint) -> QuerySet[Dataset]:
    everyone = [checkpoint, *ancestors(checkpoint)]
    runs = [one.run_id for one in everyone if one.run_id is not None]
    return Dataset.objects.filter(runs__in=runs)


def lineage(checkpoint: Checkpoint) -> Lineage:
    """A checkpoint's way back and forward."""
    run = checkpoint.run
    written = (
        Completion.objects.filter(source=checkpoint.source_id) if checkpoint.source_id else None
    )
    return Lineage(
        checkpoint=checkpoint,
        run=run,
        datasets=list(run.datasets.all()) if run is not None else [],
        rankings=rankings_behind(checkpoint).count(),
        decisions=decisions_behind(checkpoint).count(),
        parents=parents(checkpoint),
        children=children(checkpoint),
        deployments=list(checkpoint.deployments.select_related("deployed_by")),
        evaluations=list(checkpoint.evaluations.select_related("deployed")),
        completions=written.count() if written is not None else 0,
    )


def clean_up(project: Project) -> list[Checkpoint]:
    """Remove the files of old checkpoints that nothing needs; rows and lineage stay.

    Kept: bases, whatever was ever deployed with the reward model and judge of the deployed one,
    the newest few of each kind, and what a live run or a round that is not over uses: one that
    waits for a decision too. What was deployed meanwhile is not touched.
    """
    needed = _needed(project)
    removed = []
    for kind in (Checkpoint.Kind.POLICY, Checkpoint.Kind.REWARD, Checkpoint.Kind.JUDGE):
        those = Checkpoint.objects.with_files().filter(project=project, kind=kind)
        for checkpoint in those.order_by("-version")[KEPT_UNDEPLOYED:]:
            if checkpoint.pk in needed:
                continue
            unused = Checkpoint.objects.with_files().filter(pk=checkpoint.pk, deployments=None)
            with transaction.atomic():
                lock_project(project.pk)
                gone = unused.update(files_removed_at=Now())
            if not gone:
                continue
            artifacts.remove_folder(checkpoint.artifact)
            removed.append(checkpoint)
    return removed


def _needed(project: Project) -> set[int]:
    needed: set[int] = set(
        Deployment.objects.filter(project=project).values_list("checkpoint", flat=True)
    )
    unfinished = Run.objects.filter(project=project, round__state__in=UNDER_WAY)
    for run in [*unfinished, *Run.objects.live().filter(project=project)]:
        needed.update(
            pk for pk in (run.start_id, run.deployed_id, run.reward_id, run.judge_id) if pk
        )
        made = Checkpoint.objects.filter(run=run).values_list("pk", flat=True)
        needed.update(made)
    return needed
