"""Checkpoints: versions, the way back and forward, what is cleaned up."""

from __future__ import annotations

import pytest

from labeling.models import Project
from labeling.projects import update_project
from tests.training import steps
from training import artifacts, checkpoints, single_runs
from training.models import Checkpoint, Round


def test_the_base_is_made_once(project: Project) -> None:
    base = checkpoints.base_checkpoint(project)
    assert checkpoints.base_checkpoint(project) == base
    assert base.location == "some-model"
    assert base.source is not None


def test_another_base_model_is_a_new_version(project: Project) -> None:
    first = checkpoints.base_checkpoint(project)
    update_project(project=project, base_model="other-model")
    second = checkpoints.base_checkpoint(project)
    assert second.version == first.version + 1
    assert second.location == "other-model"


def test_a_policy_leads_back_to_rankings_and_forward_to_what_used_it(project: Project) -> None:
    policy = steps.make_policy(project)
    way = checkpoints.lineage(policy)
    assert way.rankings == 2
    assert {one.kind for one in way.parents} == {"base", "reward", "judge"}
    reward = Checkpoint.objects.get(kind="reward")
    assert policy in checkpoints.lineage(reward).children
    base = checkpoints.base_checkpoint(project)
    assert checkpoints.lineage(base).rankings == 0


def test_versions_count_by_kind(project: Project) -> None:
    steps.make_policy(project)
    steps.finish(steps.claim())
    second = steps.make_policy(project)
    assert second.version == 2
    assert str(second.source) == "policy 2"


@pytest.fixture
def many_rounds(project: Project) -> Project:
    """Six rounds: the first and the last policy are deployed, the others are not."""
    for number in range(6):
        steps.start(project)
        good = number in (0, 5)
        steps.finish(steps.finish_until("evaluate"), win_sure=0.7 if good else 0.3)
    return project


def test_files_of_old_undeployed_checkpoints_go_and_rows_stay(many_rounds: Project) -> None:
    policies = Checkpoint.objects.filter(kind="policy").order_by("version")
    assert policies.count() == 6
    with_files = [one.version for one in policies if one.files_removed_at is None]
    assert with_files == [1, 4, 5, 6], "the deployed ones and the newest three"
    for one in policies:
        if one.files_removed_at is None:
            assert artifacts.fetch_folder(one.artifact).is_dir()
        else:
            with pytest.raises(artifacts.ArtifactMissing):
                artifacts.fetch_folder(one.artifact)
    assert checkpoints.lineage(policies[1]).rankings


def test_what_a_round_under_way_uses_is_kept(many_rounds: Project) -> None:
    steps.start(many_rounds)
    steps.finish(steps.claim())
    reward = Checkpoint.objects.filter(kind="reward").latest("pk")
    assert reward.files_removed_at is None
    assert Round.objects.unfinished().count() == 1


def test_what_a_waiting_round_would_deploy_is_kept(project: Project) -> None:
    steps.start(project)
    steps.finish(steps.finish_until("evaluate"), win_sure=0.3)
    assert Round.objects.get().state == Round.State.WAITING
    made = set(Checkpoint.objects.filter(run__isnull=False).values_list("pk", flat=True))
    assert made <= checkpoints._needed(project)


def test_what_is_deployed_while_files_are_cleaned_up_is_kept(
    many_rounds: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_needed", lambda _project: set())
    first = Checkpoint.objects.get(kind="policy", version=1)
    assert first not in checkpoints.clean_up(many_rounds)
    assert artifacts.fetch_folder(first.artifact).is_dir()


def test_whoever_comes_second_finds_the_base_that_the_first_has_made(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_lock = checkpoints.lock_project

    def lock(pk: int) -> None:
        """Somebody else was just before us."""
        monkeypatch.setattr(checkpoints, "lock_project", really_lock)
        checkpoints.outside_base(project)

    monkeypatch.setattr(checkpoints, "lock_project", lock)
    assert checkpoints.outside_base(project).version == 1
    assert Checkpoint.objects.filter(project=project).count() == 1


def test_two_runs_that_end_at_the_same_moment_make_two_versions(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.start(project)
    one, other = steps.claim(), single_runs.start_run(project=project, kind="reward")
    really_lock = checkpoints.lock_project

    def lock(pk: int) -> None:
        """The other was just before us."""
        monkeypatch.setattr(checkpoints, "lock_project", really_lock)
        checkpoints.record(other, artifact="other", sha256="")

    monkeypatch.setattr(checkpoints, "lock_project", lock)
    checkpoints.record(one, artifact="one", sha256="")
    made = Checkpoint.objects.filter(kind="reward").order_by("version")
    assert [each.run for each in made] == [other, one]
