"""Completions ahead of the labelers: who writes them, what comes first, who may have the device."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from labeling.completions import ask_now, ready_slates, waiting_requests
from labeling.conversations import State, begin, progress_of, say, take_up
from labeling.models import Completion, Project, SampleRequest, Slate
from labeling.projects import archive_project, update_project
from tests import factories
from tests.training import steps
from training import checkpoints, deployments, devices, runs, sampling, work
from training.models import Checkpoint, Deployment, Device, Run
from training.sampler import Sampler

pytestmark = pytest.mark.django_db


@pytest.fixture
def filler() -> Iterator[sampling.Filler]:
    """Owns a sampling process; it is gone after the test."""
    filler = sampling.Filler(threading.Event())
    yield filler
    filler.close()


@pytest.fixture
def cpu(settings: Settings) -> str:
    """The only device."""
    settings.DEVICE = "cpu"
    return devices.for_training()[0]


def add_prompts(project: Project, count: int) -> None:
    for _ in range(count):
        factories.make_prompt(project)


# --- who writes ---


def writers(project: Project, k: int) -> list[str]:
    return [str(writer.checkpoint) for writer in sampling.writers_of(project, k)]


def test_the_base_writes_everything_at_first(project: Project) -> None:
    assert writers(project, 4) == ["Base 1"] * 4
    assert Deployment.objects.get().kind == Deployment.Kind.FIRST


def test_the_deployed_policy_writes_half_and_the_base_the_rest(project: Project) -> None:
    deployments.deploy(checkpoint=steps.make_policy(project), by=None)
    assert writers(project, 4) == ["Policy 1"] * 2 + ["Base 1"] * 2
    assert writers(project, 3) == ["Policy 1"] * 2 + ["Base 1"]


def test_earlier_policies_share_the_second_half(project: Project) -> None:
    for _ in range(2):
        steps.make_policy(project)
        steps.finish(steps.claim())
    assert writers(project, 4) == ["Policy 2"] * 2 + ["Base 1", "Policy 1"]


def test_whoever_waits_is_answered_by_the_deployed_policy_alone(project: Project) -> None:
    deployments.deploy(checkpoint=steps.make_policy(project), by=None)
    awaited = sampling.writers_of(project, 4, awaited=True)
    assert [str(writer.checkpoint) for writer in awaited] == ["Policy 1"] * 4


def test_a_policy_that_was_never_deployed_writes_nothing(project: Project) -> None:
    steps.make_policy(project)
    steps.finish(steps.claim(), win_sure=0.1)
    assert writers(project, 4) == ["Base 1"] * 4


def test_ids_do_not_tell_who_wrote_a_completion(
    project: Project, filler: sampling.Filler, monkeypatch: pytest.MonkeyPatch, cpu: str
) -> None:
    deployments.deploy(checkpoint=steps.make_policy(project), by=None)
    add_prompts(project, 16)
    update_project(project=project, slates_ahead=16, k=4)
    project.refresh_from_db()
    assert len(sampling.ask_for_stock(project)) == 16

    def sample(_sampler: object, **what: Any) -> list[dict[str, Any]]:
        return [
            {"prompt": one["id"], "sample": n, "text": f"{n}", "finished": True}
            | {"tokens": 1, "seed": 1}
            for one in what["prompts"]
            for n in range(what["samples"])
        ]

    monkeypatch.setattr(Sampler, "sample", sample)
    monkeypatch.setattr(sampling, "checkpoint_location", lambda _checkpoint: "folder")
    assert filler._fulfil(list(waiting_requests(project))) == 16
    orders = {
        tuple(slate.items.order_by("completion").values_list("completion__source", flat=True))
        for slate in Slate.objects.filter(request__isnull=False)
    }
    assert len(orders) > 2, "of six there could be"


# --- with a real sampling process ---


@pytest.mark.model
def test_the_stock_is_filled_and_no_further(tiny_project: Project, filler: sampling.Filler) -> None:
    project = tiny_project
    add_prompts(project, 10)
    assert len(sampling.ask_for_stock(project)) == 6
    assert filler.fill(linger=0) == 6
    assert ready_slates(project) == 6
    assert sampling.ask_for_stock(project) == []
    assert filler.fill(linger=0) == 0
    for slate in Slate.objects.all():
        texts = {item.completion.text for item in slate.items.all()}
        assert slate.items.count() == 3
        assert len(texts) > 1, "different samples"
    assert Completion.objects.filter(source__name="base 1").count() == 18
    assert not Device.objects.filter(token__isnull=False).exists(), "given back"


@pytest.mark.model
def test_what_somebody_waits_for_comes_first(
    tiny_project: Project, filler: sampling.Filler
) -> None:
    project = tiny_project
    add_prompts(project, 4)
    sampling.ask_for_stock(project)
    urgent = ask_now(prompt=factories.make_prompt(project), k=2, seconds=30)
    filler._busy.acquire()
    batch = filler._next_batch()
    assert filler._fulfil(batch) == 1, "alone: the stock would make it wait"
    urgent.refresh_from_db()
    assert urgent.state == SampleRequest.State.DONE
    assert waiting_requests(project).count() == 4


@pytest.mark.model
def test_a_turn_of_a_conversation_is_answered_to_be_ranked(
    tiny_project: Project, filler: sampling.Filler
) -> None:
    project = update_project(project=tiny_project, allows_conversations=True)
    labeler = factories.make_labeler(project)
    conversation = begin(project=project, labeler=labeler)
    say(conversation=conversation, number=1, text="How do tides work?")
    assert filler.fill(linger=0) == 1
    turn = conversation.turns.get()
    standing = take_up(turn)
    assert standing.state == State.TO_RANK
    assert standing.slate is not None
    assert standing.slate.items.count() == project.k
    assert progress_of(turn).usual is not None


@pytest.mark.model
def test_a_folder_that_is_no_model_fails_with_a_sentence(
    tiny_project: Project, filler: sampling.Filler, tmp_path: Path
) -> None:
    (tmp_path / "models" / "nothing").mkdir(parents=True)
    project = update_project(project=tiny_project, base_model=str(tmp_path / "models" / "nothing"))
    add_prompts(project, 1)
    sampling.ask_for_stock(project)
    assert filler.fill(linger=0) == 1
    request = SampleRequest.objects.get()
    assert (request.state, request.error_code) == ("failed", "model_not_found")
    assert str(tmp_path / "models" / "nothing") in request.error_values["path"]


@pytest.mark.model
@pytest.mark.kill
def test_a_sampling_process_that_was_killed_is_started_again(
    tiny_project: Project, filler: sampling.Filler
) -> None:
    project = tiny_project
    add_prompts(project, 12)
    sampling.ask_for_stock(project)
    filler.fill(linger=0)
    process = filler._sampler
    assert process is not None
    assert process._process is not None
    os.kill(process._process.pid, signal.SIGKILL)
    time.sleep(0.2)
    update_project(project=project, slates_ahead=8)
    assert len(sampling.ask_for_stock(project)) == 2
    assert filler.fill(linger=0) == 2
    assert ready_slates(project) == 8


@pytest.mark.model
def test_what_is_being_written_when_another_policy_is_deployed_is_written_by_that_one(
    tiny_project: Project,
    filler: sampling.Filler,
    monkeypatch: pytest.MonkeyPatch,
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    project = tiny_project
    add_prompts(project, 2)
    sampling.ask_for_stock(project)
    shutil.copytree(tiny_model, tmp_path / "models" / "other")
    project = update_project(project=project, base_model=str(tmp_path / "models" / "other"))
    other = checkpoints.outside_base(project)
    sample = Sampler.sample

    def sample_and_deploy(sampler: Sampler, **what: Any) -> Any:
        rows = sample(sampler, **what)
        if deployments.current_or_first(project).checkpoint != other:
            deployments.deploy(checkpoint=other, by=None)
        return rows

    monkeypatch.setattr(Sampler, "sample", sample_and_deploy)
    assert filler.fill(linger=0) == 0
    assert waiting_requests(project).count() == 2
    assert filler.fill(linger=0) == 2
    assert {row.source for row in Completion.objects.select_related("source")} == {other.source}
    assert ready_slates(project) == 2


@pytest.mark.model
def test_an_idle_sampling_process_is_unloaded(
    tiny_project: Project, filler: sampling.Filler, settings: Settings
) -> None:
    add_prompts(tiny_project, 1)
    sampling.ask_for_stock(tiny_project)
    filler.fill(linger=0)
    assert filler._sampler is not None
    assert filler._sampler.running
    settings.SAMPLER_IDLE_SECONDS = 0
    filler.fill(linger=0)
    assert not filler._sampler or not filler._sampler.running


def test_a_second_call_returns_at_once(filler: sampling.Filler) -> None:
    filler._busy.acquire()
    began = time.monotonic()
    assert filler.fill() == 0
    assert time.monotonic() - began < 1


# --- sampling and training on one device ---


def queue_run(project: Project) -> Run:
    inputs = runs.Inputs(base=checkpoints.base_checkpoint(project))
    return runs.create_run(project=project, kind="reward", inputs=inputs)


def ago(minutes: float) -> object:
    return timezone.now() - timedelta(minutes=minutes)


def test_the_stock_is_filled_before_a_run_takes_the_device(project: Project, cpu: str) -> None:
    add_prompts(project, 2)
    sampling.ask_for_stock(project)
    run = queue_run(project)
    devices.seen_by_sampler(cpu)
    assert not work.may_start(cpu)
    SampleRequest.objects.update(state="done")
    assert work.may_start(cpu)
    Run.objects.filter(pk=run.pk).update(created_at=ago(1))
    SampleRequest.objects.update(state="waiting", created_at=timezone.now())
    assert work.may_start(cpu), "what labelers need later waits its turn"


def test_a_run_does_not_wait_for_a_sampler_that_is_not_there(project: Project, cpu: str) -> None:
    add_prompts(project, 1)
    sampling.ask_for_stock(project)
    queue_run(project)
    assert work.may_start(cpu)
    devices.seen_by_sampler(cpu)
    assert not work.may_start(cpu)
    Device.objects.update(sampler_seen_at=ago(5))
    assert work.may_start(cpu)


def test_a_run_does_not_wait_for_ever(project: Project, cpu: str) -> None:
    add_prompts(project, 1)
    sampling.ask_for_stock(project)
    run = queue_run(project)
    devices.seen_by_sampler(cpu)
    SampleRequest.objects.update(created_at=ago(60))
    Run.objects.filter(pk=run.pk).update(created_at=ago(11))
    assert work.may_start(cpu)


def test_training_is_interrupted_only_where_the_stock_is_low_and_it_has_had_its_time(
    project: Project, cpu: str, filler: sampling.Filler
) -> None:
    update_project(project=project, slates_ahead=3)
    add_prompts(project, 3)
    sampling.ask_for_stock(project)
    batch = list(waiting_requests(project))
    assert not filler._may_interrupt(cpu, batch), "nobody holds it"
    devices.lease(cpu, holder="run 1")
    assert not filler._may_interrupt(cpu, batch)
    Device.objects.update(leased_at=ago(2))
    assert filler._may_interrupt(cpu, batch)
    for _ in range(2):
        factories.make_slate(project)
    assert not filler._may_interrupt(cpu, batch), "2 of 3 are ready"
    batch[0].deadline = timezone.now()
    assert filler._may_interrupt(cpu, batch), "somebody waits"


def test_archived_projects_are_not_sampled_for(project: Project) -> None:
    add_prompts(project, 1)
    archive_project(project=project)
    sampling.ask_for_all_stocks()
    assert not SampleRequest.objects.exists()


def test_bases_have_files_wherever_they_come_from(project: Project) -> None:
    assert (
        Checkpoint.objects.with_files().filter(pk=checkpoints.base_checkpoint(project).pk).exists()
    )
