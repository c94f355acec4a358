"""The queue of runs: taken up once, fenced, given back, cancelled, resumed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.models import Project
from labeling.projects import archive_project, restore_project
from tests import factories
from training import checkpoints, runs
from training.models import Round, Run, RunMetric, RunSample
from training.queue_places import queue_places
from training.run_configs import InvalidConfig


def make_run(project: Project, kind: str = "reward") -> Run:
    inputs = runs.Inputs(base=checkpoints.base_checkpoint(project))
    return runs.create_run(project=project, kind=kind, inputs=inputs)


def take(device: str = "one:cpu") -> Run | None:
    return runs.claim_next(worker="worker", device=device)


def let_the_claim_lapse(run: Run) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    Run.objects.filter(pk=run.pk).update(heartbeat_at=long_ago)


def test_the_oldest_run_is_taken_up_first(project: Project) -> None:
    first, _second = make_run(project), make_run(project)
    assert take() == first


def test_a_run_is_taken_up_once(project: Project) -> None:
    make_run(project)
    assert take("one:cpu") is not None
    assert take("two:cpu") is None


def test_one_run_a_device_at_a_time(project: Project) -> None:
    first, second = make_run(project), make_run(project)
    assert take("one:cuda:0") == first
    assert take("one:cuda:0") is None
    assert take("one:cuda:1") == second


def test_a_run_whose_worker_died_is_taken_up_again(project: Project) -> None:
    make_run(project)
    lost = take()
    assert lost is not None
    let_the_claim_lapse(lost)
    again = take()
    assert again == lost
    assert again is not None
    assert again.attempt == lost.attempt + 1


def test_a_former_attempt_writes_nothing_any_more(project: Project) -> None:
    make_run(project)
    lost = take()
    assert lost is not None
    let_the_claim_lapse(lost)
    take()
    with pytest.raises(runs.ClaimLost):
        runs.renew(lost)
    with pytest.raises(runs.ClaimLost):
        runs.record_progress(lost, runs.Progress(step=5, metrics=[(5, "loss", 1.0)]))
    with pytest.raises(runs.ClaimLost):
        runs.succeed(lost, {"accuracy": 1.0})
    with pytest.raises(runs.ClaimLost):
        runs.fail(lost, code="internal", values={})
    assert not RunMetric.objects.exists()
    assert Run.objects.get(pk=lost.pk).state == Run.State.RUNNING


def test_a_run_given_back_keeps_its_place(project: Project) -> None:
    first, _second = make_run(project), make_run(project)
    claimed = take()
    assert claimed is not None
    runs.give_back(claimed)
    assert queue_places(project)[first.pk].number == 1
    assert take() == first


def test_progress_taken_in_twice_is_there_once(project: Project) -> None:
    make_run(project)
    run = take()
    assert run is not None
    progress = runs.Progress(
        step=2,
        total_steps=10,
        seconds_left=8.0,
        metrics=[(1, "loss", 0.5), (2, "loss", 0.25)],
        samples=[{"step": 2, "prompt": "Hi", "before": "a", "after": "b"}],
        log_tail="two\n",
    )
    runs.record_progress(run, progress)
    runs.record_progress(run, progress)
    assert list(RunMetric.objects.values_list("step", "value")) == [(1, 0.5), (2, 0.25)]
    assert RunSample.objects.count() == 1
    run.refresh_from_db()
    assert (run.step, run.total_steps, run.log_tail) == (2, 10, "two\n")


def test_cancelling_a_queued_run_ends_it_at_once(project: Project) -> None:
    run = runs.cancel_run(run=make_run(project))
    assert run.state == Run.State.CANCELLED
    assert take() is None


def test_cancelling_a_running_run_tells_its_worker(project: Project) -> None:
    make_run(project)
    run = take()
    assert run is not None
    assert runs.renew(run) is False
    assert runs.cancel_run(run=run).state == Run.State.RUNNING
    assert runs.renew(run) is True
    runs.close_cancelled(run)
    assert Run.objects.get(pk=run.pk).state == Run.State.CANCELLED


def test_a_cancelled_run_whose_worker_died_is_closed_by_the_sweep(project: Project) -> None:
    make_run(project)
    run = take()
    assert run is not None
    runs.cancel_run(run=run)
    assert runs.close_abandoned() == 0
    let_the_claim_lapse(run)
    assert take() is None
    assert runs.close_abandoned() == 1
    assert Run.objects.get(pk=run.pk).state == Run.State.CANCELLED


def test_a_run_that_is_over_cannot_be_cancelled(project: Project) -> None:
    run = runs.cancel_run(run=make_run(project))
    with pytest.raises(runs.RunNotLive):
        runs.cancel_run(run=run)


def test_a_failed_run_can_be_resumed_and_a_queued_one_not(project: Project) -> None:
    queued = make_run(project)
    with pytest.raises(runs.RunNotResumable):
        runs.resume_run(run=queued)
    run = take()
    assert run is not None
    runs.fail(run, code="disk_full", values={"path": "there"})
    resumed = runs.resume_run(run=run)
    assert resumed.state == Run.State.QUEUED
    assert not resumed.error_code
    assert take() == run


def test_a_failure_is_told_in_words(project: Project) -> None:
    make_run(project)
    run = take()
    assert run is not None
    runs.fail(run, code="too_few_rankings", values={"found": 3, "needed": 20})
    sentence = runs.describe_error(Run.objects.get(pk=run.pk))
    assert "3 usable rankings" in sentence
    assert "20" in sentence


def test_repeating_a_run_changes_what_was_asked_and_keeps_the_rest(project: Project) -> None:
    run = make_run(project)
    again = runs.repeat_run(run=run, changes={"folds": 3}, by=None)
    assert again.repeats == run
    assert again.round is None
    assert again.config == run.config | {"folds": 3}


def test_repeating_with_a_wrong_value_says_what_would_be_right(project: Project) -> None:
    run = make_run(project)
    with pytest.raises(InvalidConfig) as refusal:
        runs.repeat_run(run=run, changes={"folds": 1, "epochs": 0}, by=None)
    assert any("folds" in problem for problem in refusal.value.problems)
    with pytest.raises(InvalidConfig):
        runs.repeat_run(run=run, changes={"fold": 3}, by=None)
    with pytest.raises(InvalidConfig):
        runs.repeat_run(run=run, changes={"base": "/etc"}, by=None)


@pytest.mark.parametrize("name", ["role", "device", "preset"])
def test_what_a_run_is_for_stays_as_it_was(project: Project, name: str) -> None:
    run = make_run(project)
    with pytest.raises(InvalidConfig):
        runs.repeat_run(run=run, changes={name: run.config[name]}, by=None)


def test_an_archived_project_repeats_and_resumes_nothing(project: Project) -> None:
    make_run(project)
    run = take()
    assert run is not None
    runs.fail(run, code="internal", values={})
    archive_project(project=project)
    with pytest.raises(runs.ProjectIsArchived):
        runs.resume_run(run=run)
    with pytest.raises(runs.ProjectIsArchived):
        runs.repeat_run(run=run, changes={}, by=None)


def test_ppo_without_a_reward_model_is_refused(project: Project) -> None:
    with pytest.raises(runs.RunNeedsCheckpoint):
        make_run(project, "ppo")


def test_runs_are_seen_by_members_only(project: Project) -> None:
    make_run(project)
    assert Run.objects.visible_to(factories.make_manager(project)).count() == 1
    assert Run.objects.visible_to(factories.make_user()).count() == 0
    labeler = factories.make_labeler(project)
    assert Run.objects.visible_to(labeler, "manager").count() == 0


def test_a_failed_step_stops_its_round(project: Project) -> None:
    from tests.training import steps

    round_ = steps.start(project)
    run = steps.claim()
    runs.fail(run, code="internal", values={"message": "oh"})
    round_.refresh_from_db()
    assert round_.state == Round.State.STOPPED
    runs.resume_run(run=run)
    round_.refresh_from_db()
    assert round_.state == Round.State.OPEN


def test_runs_of_an_archived_project_wait_until_it_is_restored(project: Project) -> None:
    run = make_run(project)
    archive_project(project=project)
    assert take() is None
    other = make_run(factories.make_project())
    assert queue_places(other.project)[other.pk].number == 1
    restore_project(project=project)
    assert take() == run
