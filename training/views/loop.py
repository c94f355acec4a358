"""The loop of one project as it stands: counts, the newest thing, what works and what waits.

Gathers facts with a fixed number of queries; the sentences are in `training/views/stages.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.core.cache import cache
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from labeling.comparisons import exportable
from labeling.completions import RANKED_SPLITS, ready_slates, waiting_requests
from labeling.models import (
    Assignment,
    Membership,
    Project,
    Prompt,
    Purpose,
    Role,
    SampleRequest,
    Slate,
    Split,
)
from labeling.progress import Progress, progress_of
from labeling.slates import DEMOTED
from training.datasets import counting_nothing, standing_rankings
from training.deployments import current
from training.models import Checkpoint, Deployment, Device, Evaluation, Plan, Round, Run
from training.plans import plan_of
from training.rounds import MIN_EVALUATION_PROMPTS
from training.rules import wants_rankings
from training.views.sampling_state import Sampling, is_sampling, sampling_now

SILENT_AFTER = timedelta(seconds=60)
"""A worker that has not been seen for this long is not running."""
FAILED_LATELY = timedelta(days=7)
OVERDUE_AFTER = timedelta(minutes=3)
"""A round that a rule asks for begins within a tick."""
LOOKED_BACK = 2000
"""Rankings beyond a rule's number that are looked back over for when it was reached: beyond, it was
reached long ago, and a later moment says so as well."""
MOST_READY = 10_000
"""Slates that are ready are counted up to here: no project keeps more in stock by itself."""
KEPT_SECONDS = 20
"""For as long a poll shows the totals of the last look: they read every row of a project."""

Fact = TypeVar("Fact")


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What is counted over all rows of a project, and need not be of this second."""

    labeling: Progress
    new_rankings: int
    """Training rankings since the last round began."""
    due_since: datetime | None
    """When the rule's number of rankings was reached; None where it isn't, or there is no rule."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """What the overview knows of a project."""

    project: Project
    plan: Plan
    totals: Totals
    slates_ready: int
    requests_waiting: int
    requests_failed: int
    failed_request: SampleRequest | None
    nothing_left: bool
    """No slate is ready or asked for, and none will be: the present policy has had all prompts."""
    in_hands: bool
    """Training slates are open that not everybody could be given."""
    labelers: int
    reward: Checkpoint | None
    policy: Checkpoint | None
    evaluation: Evaluation | None
    deployment: Deployment | None
    last_round: Round | None
    live_runs: list[Run]
    failed_runs: list[Run]
    sampling: Sampling
    lent_devices: frozenset[str]
    """Names of those on which completions are written now."""
    trainer_seen: bool
    """Some trainer works, or a sampler holds the device that it waits for."""

    @property
    def labeling(self) -> Progress:
        """Counts of the labeling side."""
        return self.totals.labeling

    @property
    def slates_ready_said(self) -> str:
        """How many slates are ready, as people read it."""
        counted = f"{self.slates_ready:,}"
        return f"{counted}+" if self.slates_ready >= MOST_READY else counted

    @property
    def lacks_evaluation_prompts(self) -> bool:
        """True where no round can begin for want of them."""
        return self.labeling.prompts_by_split[Split.EVALUATION] < MIN_EVALUATION_PROMPTS

    @property
    def round_is_under_way(self) -> bool:
        """In progress, or stopped at a failed step."""
        last = self.last_round
        return last is not None and last.state in (Round.State.OPEN, Round.State.STOPPED)

    @property
    def round_is_overdue(self) -> bool:
        """A rule has asked for a round for a while, and none began."""
        since = self.totals.due_since
        if self.round_is_under_way or since is None:
            return False
        return timezone.now() - since > OVERDUE_AFTER

    @property
    def moves(self) -> bool:
        """True where something works at this moment: the page then asks again by itself."""
        return bool(self.live_runs) or self.requests_waiting > 0


def loop_of(project: Project, *, polled: bool = False) -> Loop:
    """Everything that the drawn line shows. `polled`: totals may be some seconds old."""
    running = list(_live_runs())
    devices = list(Device.objects.all())
    last_round = project.rounds.order_by("-number").first()
    evaluation = _newest_evaluation(project)
    plan, deployment = plan_of(project), current(project)
    key = f"loop-{project.pk}-{last_round and last_round.pk}-{deployment and deployment.pk}"
    totals = kept(
        f"{key}-totals", lambda: _totals(project, plan, last_round, evaluation), polled=polled
    )
    requests = _requests(project)
    ready = ready_slates(project, at_most=MOST_READY)
    idle = not ready and not requests["requests_waiting"] and totals.labeling.prompts > 0
    return Loop(
        project=project,
        plan=plan,
        totals=totals,
        slates_ready=ready,
        **requests,
        nothing_left=idle
        and kept(f"{key}-left", lambda: _nothing_left(project, deployment), polled=polled),
        in_hands=idle and _open_slots(project),
        labelers=Membership.objects.filter(project=project, role=Role.LABELER).count(),
        **_versions(project),
        evaluation=evaluation,
        deployment=deployment,
        last_round=last_round,
        live_runs=[run for run in running if run.project_id == project.pk],
        failed_runs=list(_failed_runs(project)),
        sampling=sampling_now(devices),
        lent_devices=frozenset(device.name for device in devices if is_sampling(device)),
        trainer_seen=any(_recent(run.heartbeat_at) for run in running)
        or any(_recent(device.renewed_at) for device in devices),
    )


def kept(key: str, find: Callable[[], Fact], *, polled: bool) -> Fact:
    """What `find` finds. A poll is content with what was found a few seconds ago."""
    known: tuple[Fact] | None = cache.get(key) if polled else None
    if known is None:
        known = (find(),)
        cache.set(key, known, KEPT_SECONDS)
    return known[0]


def _recent(moment: datetime | None) -> bool:
    return moment is not None and timezone.now() - moment < SILENT_AFTER


def _totals(
    project: Project, plan: Plan, last_round: Round | None, evaluation: Evaluation | None
) -> Totals:
    labeling = progress_of(project)
    known = labeling.rankings - _counting_nothing(project)
    fresh = max(known - (last_round.rankings_at_start if last_round else 0), 0)
    due_since = None
    if plan.after_rankings is not None and fresh >= max(plan.after_rankings, 1):
        more = min(fresh - max(plan.after_rankings, 1), LOOKED_BACK)
        newest_first = (
            exportable(project=project).order_by("-pk").values_list("created_at", flat=True)
        )
        moments = [
            *newest_first[more : more + 1],
            last_round.finished_at if last_round else None,
            evaluation.created_at if evaluation else None,
        ]
        due_since = max((one for one in moments if one is not None), default=None)
    return Totals(labeling=labeling, new_rankings=fresh, due_since=due_since)


def _counting_nothing(project: Project) -> int:
    """Rankings that stand and that no round is trained on; mostly nobody's work counts nothing."""
    people = list(counting_nothing(project).values_list("labeler", flat=True))
    return standing_rankings(project).filter(labeler__in=people).count() if people else 0


def _requests(project: Project) -> dict[str, Any]:
    """Each set by its state, so that the index on it serves: most requests are done."""
    failed = SampleRequest.objects.filter(
        state=SampleRequest.State.FAILED,
        done_at__gt=timezone.now() - FAILED_LATELY,
        prompt__project=project,
    ).exclude(error_code="withdrawn")
    return {
        "requests_waiting": waiting_requests(project).count(),
        "requests_failed": failed.count(),
        "failed_request": failed.order_by("-done_at", "-pk").first(),
    }


def _nothing_left(project: Project, deployment: Deployment | None) -> bool:
    """Whether no prompt is left to ask completions for, as `request_samples` chooses them."""
    if wants_rankings(project):
        return False
    slates = Slate.objects.filter(
        prompt=OuterRef("pk"), purpose=Purpose.TRAINING, withdrawn_at=None
    )
    if deployment is not None and deployment.policy_since is not None:
        slates = slates.filter(created_at__gte=deployment.policy_since)
    prompts = Prompt.objects.live().filter(project=project, split__in=RANKED_SPLITS)
    return not prompts.exclude(Exists(slates)).exists()


def _open_slots(project: Project) -> bool:
    """Whether something of the present policy is with a labeler, or waits for another one."""
    return Assignment.objects.filter(
        project=project,
        state=Assignment.State.OPEN,
        priority__gt=DEMOTED // 2,
        slate__purpose=Purpose.TRAINING,
    ).exists()


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
