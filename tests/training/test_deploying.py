"""Deploying and rolling back: one transaction each, with the history kept."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import Assignment, Project
from labeling.slates import DEMOTED
from tests import factories
from tests.training import steps
from training import checkpoints, deployments
from training.models import Checkpoint, Deployment, Round


@pytest.fixture
def policy(project: Project) -> Checkpoint:
    """A policy that is not deployed yet."""
    return steps.make_policy(project)


def test_a_deployment_replaces_the_former_one(project: Project, policy: Checkpoint) -> None:
    manager = factories.make_manager(project)
    deployment = deployments.deploy(checkpoint=policy, by=manager)
    assert deployments.current(project) == deployment
    assert Deployment.objects.filter(project=project).count() == 2
    first = Deployment.objects.earliest("pk")
    assert first.replaced_at is not None


def test_slates_of_the_former_policy_that_nobody_opened_go_last(
    project: Project, policy: Checkpoint
) -> None:
    unopened = factories.make_slate(project)
    deployments.deploy(checkpoint=policy, by=None)
    assert Assignment.objects.get(slate=unopened).priority == DEMOTED
    fresh = factories.make_slate(project)
    labeler = factories.make_labeler(project)
    assert factories.make_assignment(project, labeler).slate == fresh


def test_rolling_back_returns_to_the_policy_before(project: Project, policy: Checkpoint) -> None:
    manager = factories.make_manager(project)
    deployments.deploy(checkpoint=policy, by=manager)
    back = deployments.roll_back(project=project, by=manager)
    assert back.kind == Deployment.Kind.ROLL_BACK
    assert back.checkpoint == checkpoints.base_checkpoint(project)
    with pytest.raises(deployments.NothingToRollBackTo):
        deployments.roll_back(project=project, by=manager)
    assert Deployment.objects.filter(project=project).count() == 3


def test_rolling_back_twice_goes_back_two(project: Project) -> None:
    manager = factories.make_manager(project)
    policies = []
    for _ in range(2):
        policies.append(steps.make_policy(project))
        steps.finish(steps.claim())
    assert deployments.roll_back(project=project, by=manager).checkpoint == policies[0]
    back = deployments.roll_back(project=project, by=manager)
    assert back.checkpoint == checkpoints.base_checkpoint(project)


def test_what_answers_already_is_not_deployed_again(project: Project, policy: Checkpoint) -> None:
    deployments.deploy(checkpoint=policy, by=None)
    with pytest.raises(deployments.DeployedAlready):
        deployments.deploy(checkpoint=policy, by=None)


def test_a_reward_model_does_not_answer(project: Project, policy: Checkpoint) -> None:
    reward = Checkpoint.objects.get(kind="reward")
    with pytest.raises(deployments.NotDeployable):
        deployments.deploy(checkpoint=reward, by=None)
    current = deployments.current(project)
    assert current is not None
    assert current.checkpoint.kind == "base"


def test_a_policy_whose_files_are_gone_does_not_answer(
    project: Project, policy: Checkpoint
) -> None:
    from django.utils import timezone

    Checkpoint.objects.filter(pk=policy.pk).update(files_removed_at=timezone.now())
    with pytest.raises(deployments.NotDeployable):
        deployments.deploy(checkpoint=policy, by=None)


def test_a_deployment_is_rolled_back_once(project: Project) -> None:
    manager = factories.make_manager(project)
    for _ in range(2):
        steps.make_policy(project)
        steps.finish(steps.claim())
    latest = deployments.current(project)
    assert latest is not None
    back = deployments.roll_back(project=project, by=manager, undone=latest.pk)
    with pytest.raises(deployments.NotTheTarget):
        deployments.roll_back(project=project, by=manager, undone=latest.pk)
    assert deployments.current(project) == back
    further = deployments.roll_back(project=project, by=manager, undone=back.pk)
    assert further.checkpoint == checkpoints.base_checkpoint(project)


def test_what_a_manager_chose_meanwhile_is_not_replaced_by_itself(project: Project) -> None:
    first = steps.make_policy(project)
    steps.finish(steps.claim(), win_sure=0.4)
    steps.make_policy(project)
    evaluate = steps.claim()
    deployments.deploy(checkpoint=first, by=factories.make_manager(project))
    steps.finish(evaluate)
    current = deployments.current(project)
    assert current is not None
    assert current.checkpoint == first
    assert Round.objects.get(number=2).state == Round.State.WAITING


def test_the_project_is_locked_before_the_history_is_read(
    project: Project, policy: Checkpoint
) -> None:
    with CaptureQueriesContext(connection) as queries:
        deployments.deploy(checkpoint=policy, by=None)
    reads = [one["sql"] for one in queries if one["sql"].startswith("SELECT")]
    assert 'FROM "labeling_project"' in reads[0]


@pytest.mark.parametrize("back", [False, True])
def test_what_breaks_off_half_way_changes_nothing(
    project: Project, policy: Checkpoint, monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    manager = factories.make_manager(project)
    if back:
        deployments.deploy(checkpoint=policy, by=manager)
    before = list(Deployment.objects.order_by("pk").values())
    states = list(Round.objects.order_by("pk").values_list("state", flat=True))

    def breaks(**_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(deployments, "demote_unopened", breaks)
    with pytest.raises(OSError, match="disk"):
        if back:
            deployments.roll_back(project=project, by=manager)
        else:
            deployments.deploy(checkpoint=policy, by=manager)
    assert list(Deployment.objects.order_by("pk").values()) == before
    assert list(Round.objects.order_by("pk").values_list("state", flat=True)) == states
    assert deployments.current(project) is not None
