"""The loop of one project as it stands: counts, the newest thing, what works and what waits.

Gathers facts with a fixed number of queries; the sentences are in `training/views/stages.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q
from django.utils import timezone

from labeling.models import Completion, Membership, Project, Prompt, Role, SampleRequest
from labeling.progress import Progress, progress_of
from training.deployments import current
from training.models import Checkpoint, Deployment, Device, Evaluation, Plan, Round, Run
from training.plans import plan_of

SILENT_AFTER = timedelta(seconds=60)
"""A worker that has not been seen for this long is not running."""
FAILED_LATELY = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Loop:
    """What the overview knows of a project."""

    project: Project
    plan: Plan
    labeling: Progress
    newest_prompt: datetime | None
    completions: int
    newest_completion: datetime | None
    requests_waiting: int
    requests_failed: int
    request_error: str
    labelers: int
    reward: Checkpoint | None
    policy: Checkpoint | None
    evaluation: Evaluation | None
    deployment: Deployment | None
    last_round: Round | None
    live_runs: list[Run]
    failed_runs: list[Run]
    sampler_seen: bool
    trainer_seen: bool
    """Some trainer works, or a sampler holds the device that it waits for."""

    @property
    def new_rankings(self) -> int:
        """Training rankings since the last round began."""
        before = self.last_round.rankings_at_start if self.last_round else 0
        return max(self.labeling.rankings - before, 0)

    @property
    def moves(self) -> bool:
        """True where something works at this moment: the page then asks again by itself."""
        return bool(self.live_runs) or self.requests_waiting > 0


def loop_of(project: Project) -> Loop:
    """Everything that the drawn line shows."""
    running = list(_live_runs())
    devices = list(Device.objects.all())
    return Loop(
        project=project,
        plan=plan_of(project),
        labeling=progress_of(project),
        newest_prompt=_newest_prompt(project),
        **_completions(project),
        labelers=Membership.objects.filter(project=project, role=Role.LABELER).count(),
        **_versions(project),
        evaluation=_newest_evaluation(project),
        deployment=current(project),
        last_round=project.rounds.order_by("-number").first(),
        live_runs=[run for run in running if run.project_id == project.pk],
        failed_runs=list(_failed_runs(project)),
        sampler_seen=any(_recent(device.sampler_seen_at) for device in devices),
        trainer_seen=any(_recent(run.heartbeat_at) for run in running)
        or any(_recent(device.renewed_at) for device in devices),
    )


def _recent(moment: datetime | None) -> bool:
    return moment is not None and timezone.now() - moment < SILENT_AFTER


def _newest_prompt(project: Project) -> datetime | None:
    live = Prompt.objects.live().filter(project=project)
    newest: datetime | None = live.aggregate(newest=Max("created_at"))["newest"]
    return newest


def _completions(project: Project) -> dict[str, Any]:
    written = Completion.objects.filter(prompt__project=project).aggregate(
        completions=Count("pk"), newest_completion=Max("created_at")
    )
    requests = SampleRequest.objects.filter(prompt__project=project)
    lately = Q(state=SampleRequest.State.FAILED, done_at__gt=timezone.now() - FAILED_LATELY)
    counted = requests.aggregate(
        requests_waiting=Count("pk", filter=Q(state=SampleRequest.State.WAITING)),
        requests_failed=Count("pk", filter=lately),
        request_error=Max("error_code", filter=lately),
    )
    return {**written, **counted, "request_error": counted["request_error"] or ""}


def _versions(project: Project) -> dict[str, Any]:
    newest = Checkpoint.objects.filter(project=project).select_related("run").order_by("-pk")
    return {
        "reward": newest.filter(kind=Checkpoint.Kind.REWARD).first(),
        "policy": newest.filter(kind=Checkpoint.Kind.POLICY).first(),
    }


def _newest_evaluation(project: Project) -> Evaluation | None:
    found = Evaluation.objects.filter(run__project=project).select_related("candidate", "deployed")
    return found.order_by("-pk").first()


def _live_runs() -> Any:
    """Of all projects, since they share the trainer."""
    return Run.objects.live().select_related("round").order_by("pk")


def _failed_runs(project: Project) -> Any:
    """Failed lately and nothing was done about it: not repeated, not of a round that is over."""
    lately = timezone.now() - FAILED_LATELY
    stopped = Q(round=None) | Q(round__state=Round.State.STOPPED)
    failed = Run.objects.filter(stopped, project=project, state=Run.State.FAILED)
    return failed.filter(finished_at__gt=lately, repeated_by=None).select_related("round")[:10]
