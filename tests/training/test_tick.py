"""The tick: everything that is due is found from rows, and it stays cheap."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from labeling.models import Project, SampleRequest
from tests import factories
from tests.training import steps
from training import devices, rules, runs, tasks, work
from training.models import Deployment, Device, Round, Run
from training.plans import update_plan


@pytest.fixture
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tasks that were nudged, instead of messages to a broker."""
    sent: list[str] = []
    for name in ("train", "sample"):
        task = getattr(tasks, name)
        monkeypatch.setattr(task, "apply_async", lambda name=name, **_kwargs: sent.append(name))
    return sent


def test_it_asks_for_stock_starts_rounds_and_nudges(project: Project, nudges: list[str]) -> None:
    steps.add_evaluation_prompts(project)
    update_plan(project=project, after_rankings=1)
    factories.make_ranking(project)
    factories.make_prompt(project)
    tasks.tick()
    assert SampleRequest.objects.count() == 2, "the next round's rankings are wanted: both prompts"
    assert Round.objects.count() == 1
    assert Run.objects.live().count() == 1
    assert nudges == ["sample"], "nudges come first; what was found now is for the next tick"
    tasks.tick()
    assert nudges == ["sample", "sample", "train"]
    assert Deployment.objects.get().checkpoint.kind == "base"


def test_twice_is_as_once(project: Project, nudges: list[str]) -> None:
    steps.add_evaluation_prompts(project)
    update_plan(project=project, after_rankings=1)
    factories.make_ranking(project)
    factories.make_prompt(project)
    tasks.tick()
    tasks.tick()
    assert Round.objects.count() == Run.objects.count() == 1
    assert SampleRequest.objects.count() == 2


def test_nobody_is_told_to_train_where_nothing_waits(project: Project, nudges: list[str]) -> None:
    tasks.tick()
    assert nudges == ["sample"]


def test_nobody_is_told_to_train_while_the_device_is_taken(
    project: Project, nudges: list[str]
) -> None:
    steps.start(project)
    steps.start(factories.make_project(base_model="x"))
    assert work.is_due()
    devices.lease("here:cpu", holder="run 1")
    assert not work.is_due()


def test_a_device_whose_holder_was_killed_is_free_again(
    project: Project, nudges: list[str]
) -> None:
    steps.start(project)
    devices.lease("here:cpu", holder="run 1")
    devices.want("here:cpu")
    tasks.tick()
    assert nudges == ["sample"]
    aged = timezone.now() - timedelta(hours=1)
    Device.objects.update(renewed_at=aged, wanted_at=aged)
    tasks.tick()
    assert nudges == ["sample", "sample", "train"]


def test_a_device_whose_run_has_lapsed_is_worth_waiting_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "DEVICE", "cpu")
    steps.start(project)
    run = runs.claim_next(worker="test", device=devices.for_training()[0])
    assert not work._worth_waiting()
    assert run is not None
    Run.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert work._worth_waiting()


def test_one_projects_error_stops_nobody_elses_tick(
    project: Project,
    nudges: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = factories.make_project(base_model="x", slates_ahead=4)
    for one in (project, other):
        update_plan(project=one, after_rankings=1)
        factories.make_ranking(one)
        factories.make_prompt(one)
        steps.add_evaluation_prompts(one)
    really_start = rules.start_round

    def start(**values: Any) -> Round:
        if values["project"] == project:
            raise OSError(28, "No space left on device")
        return really_start(**values)

    monkeypatch.setattr(rules, "start_round", start)
    tasks.tick()
    assert Round.objects.get().project == other
    asked = SampleRequest.objects.values_list("prompt__project", flat=True)
    assert set(asked) == {project.pk, other.pk}
    assert nudges == ["sample"]
    assert "No space left on device" in caplog.text


def test_a_tick_that_nobody_took_in_time_is_dropped() -> None:
    tick: dict[str, Any] = settings.CELERY_BEAT_SCHEDULE["tick"]
    assert tick["options"]["expires"] == tick["schedule"]


def test_a_cancelled_run_is_closed_where_no_worker_holds_it(
    project: Project, nudges: list[str]
) -> None:
    round_ = steps.start(project)
    Run.objects.update(cancel_requested_at=timezone.now())
    tasks.tick()
    assert Run.objects.get().state == Run.State.CANCELLED
    round_.refresh_from_db()
    assert round_.state == Round.State.STOPPED


def test_a_project_with_a_full_stock_costs_few_queries(
    project: Project, nudges: list[str], django_assert_max_num_queries: Any
) -> None:
    for one in [project, *[factories.make_project(slates_ahead=1) for _ in range(3)]]:
        for _ in range(one.slates_ahead):
            factories.make_slate(one)
    tasks.tick()
    with django_assert_max_num_queries(8 + 4 * 8):
        tasks.tick()
