"""Which policy answers: deployed, rolled back, with its whole history. One transaction each.

Knows nothing of gates: whoever deploys has decided.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from labeling.models import Project, User
from labeling.refusals import Refusal
from labeling.slates import demote_unopened
from training.checkpoints import base_checkpoint
from training.locks import lock_project
from training.models import Checkpoint, Deployment, Evaluation, Round


class NotDeployable(Refusal):
    """Only a base or policy whose files are still there can answer."""

    code = "not_deployable"
    sentence = _("%(checkpoint)s can't be deployed: its files are gone, or it is no policy.")


class DeployedAlready(Refusal):
    """It answers already."""

    code = "deployed_already"
    sentence = _("%(checkpoint)s is deployed already.")


class NothingToRollBackTo(Refusal):
    """There was no other policy before this one."""

    code = "nothing_to_roll_back_to"
    sentence = _("There is no earlier policy to roll back to.")


class NotTheTarget(Refusal):
    """Meanwhile another policy was deployed, or this roll-back was done already."""

    code = "not_the_roll_back_target"
    sentence = _("Something else was deployed meanwhile: a roll-back would lead elsewhere now.")


def current(project: Project) -> Deployment | None:
    """What answers now; None before the project sampled for the first time."""
    deployments = Deployment.objects.current().filter(project=project)
    return deployments.select_related("checkpoint", "checkpoint__base").first()


def current_or_first(project: Project) -> Deployment:
    """What answers now; the base model, deployed here, where nothing was so far."""
    deployed = current(project)
    if deployed is not None:
        return deployed
    base = base_checkpoint(project)
    try:
        with transaction.atomic():
            return Deployment.objects.create(
                project=project, checkpoint=base, kind=Deployment.Kind.FIRST
            )
    except IntegrityError:  # somebody else was first
        return Deployment.objects.current().select_related("checkpoint").get(project=project)


def hold(deployment: Deployment) -> bool:
    """Let nothing replace it until this transaction ends; False where something has already."""
    held = Deployment.objects.current().select_for_update().filter(pk=deployment.pk)
    return held.first() is not None


def deploy(
    *, checkpoint: Checkpoint, by: User | None, evaluation: Evaluation | None = None
) -> Deployment:
    """Let `checkpoint` answer from now on. `by` None: the gate was met, the project does it itself.

    The round that it comes from, where it still waits, is closed as deployed. The former policy's
    slates that nobody has opened go last. Raises NotDeployable, DeployedAlready.
    """
    with transaction.atomic():
        lock_project(checkpoint.project_id)
        return _replace(checkpoint, by, Deployment.Kind.DEPLOY, evaluation)


def deploy_by_itself(evaluation: Evaluation) -> Deployment | None:
    """Deploy an evaluation's candidate; None where that is not its place any more.

    It was compared with what was deployed then. Where something else answers by now, a person has
    chosen it, and the project does not replace it by itself.
    """
    candidate = evaluation.candidate
    with transaction.atomic():
        lock_project(candidate.project_id)
        present = current(candidate.project)
        if present is None or not _answered_at(evaluation, present):
            return None
        try:
            return _replace(candidate, None, Deployment.Kind.DEPLOY, evaluation)
        except (NotDeployable, DeployedAlready):
            return None  # its files are gone


def roll_back(*, project: Project, by: User, undone: int | None = None) -> Deployment:
    """Let the policy before the present one answer again.

    Rolling back twice goes back two. undone: the id of the deployment that whoever asks has seen
    answering (None: any), so that a second click or request changes nothing. Raises
    NothingToRollBackTo, NotTheTarget, NotDeployable.
    """
    with transaction.atomic():
        lock_project(project.pk)
        present = current(project)
        if undone is not None and (present is None or present.pk != undone):
            raise NotTheTarget
        target = roll_back_target(project)
        if target is None:
            raise NothingToRollBackTo
        return _replace(target, by, Deployment.Kind.ROLL_BACK, None)


def roll_back_target(project: Project) -> Checkpoint | None:
    """The checkpoint that `roll_back` would deploy.

    The history read as a stack: a deployment pushes, a roll-back pops.
    """
    stack: list[Checkpoint] = []
    history = Deployment.objects.filter(project=project).order_by("pk")
    for deployment in history.select_related("checkpoint"):
        if deployment.kind == Deployment.Kind.ROLL_BACK and len(stack) > 1:
            stack.pop()
        else:
            stack.append(deployment.checkpoint)
    return stack[-2] if len(stack) > 1 else None


def _answered_at(evaluation: Evaluation, present: Deployment) -> bool:
    """Whether what answers now is what answered when the evaluation was queued.

    A policy of another base model can't be compared; then the base stood in for it.
    """
    compared = present.checkpoint_id == evaluation.deployed_id
    return compared or present.deployed_at <= evaluation.run.created_at


def _replace(
    checkpoint: Checkpoint, by: User | None, kind: str, evaluation: Evaluation | None
) -> Deployment:
    answers = checkpoint.kind in (Checkpoint.Kind.BASE, Checkpoint.Kind.POLICY)
    checkpoint.refresh_from_db(fields=["files_removed_at"])
    if not answers or checkpoint.files_removed_at is not None:
        raise NotDeployable(checkpoint=checkpoint)
    project = checkpoint.project
    present = Deployment.objects.current().filter(project=project).first()
    if present is not None and present.checkpoint_id == checkpoint.pk:
        raise DeployedAlready(checkpoint=checkpoint)
    Deployment.objects.current().filter(project=project).update(replaced_at=Now())
    deployment = Deployment.objects.create(
        project=project, checkpoint=checkpoint, kind=kind, evaluation=evaluation, deployed_by=by
    )
    if kind == Deployment.Kind.DEPLOY and checkpoint.run is not None and checkpoint.run.round_id:
        Round.objects.filter(
            pk=checkpoint.run.round_id,
            state__in=[Round.State.OPEN, Round.State.WAITING, Round.State.REFUSED],
        ).update(state=Round.State.DEPLOYED, finished_at=Now())
    demote_unopened(project=project)
    return deployment
