"""A project whose stock an outside server fills: with whose words, on no device, each text once."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from labeling.completions import ready_slates, waiting_requests
from labeling.models import Completion, Project, SampleRequest, Slate
from labeling.projects import update_project
from tests import factories
from tests.training import steps
from tests.training.vllm import CHAT, Answer, Vllm, completion, error
from training import artifacts, deployments, devices, runs, sampling, sampling_server, work
from training.checkpoints import base_checkpoint
from training.errors import explain
from training.launcher import checkpoint_location
from training.models import Checkpoint, Device
from training.served_policy import adapter_name
from training.views.sampling_state import Sampling, sampling_now

pytestmark = pytest.mark.django_db


@pytest.fixture
def vllm(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vllm]:
    """The server that the settings name."""
    monkeypatch.setattr(sampling_server, "PATIENCE", 1.0)
    monkeypatch.setattr(sampling_server, "FIRST_PAUSE", 0.02)
    server = Vllm()
    settings.SAMPLING_URL, settings.SAMPLING_KEY = server.url, ""
    settings.DEVICE = "cpu"
    yield server
    server.stop()


@pytest.fixture
def filler() -> sampling.Filler:
    return sampling.Filler(threading.Event())


def ask_for_stock(project: Project, count: int = 4) -> None:
    for _ in range(count):
        factories.make_prompt(project)
    assert len(sampling.ask_for_stock(project)) == count


def with_adapter(policy: Checkpoint) -> str:
    """The files that a run leaves, in the policy's folder; where that is."""
    folder = Path(checkpoint_location(policy))
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    names = ("adapter_config.json", "adapter_model.safetensors")
    sums = {name: artifacts.file_sha256(folder / name) for name in names}
    (folder / "manifest.json").write_text(json.dumps(sums))
    return str(folder)


def test_the_deployed_policy_and_the_base_write_through_the_server(
    project: Project, vllm: Vllm, filler: sampling.Filler
) -> None:
    policy = steps.make_policy(project)
    folder = with_adapter(policy)
    deployments.deploy(checkpoint=policy, by=None)
    update_project(project=project, slates_ahead=ready_slates(project) + 4)
    project.refresh_from_db()
    ask_for_stock(project)
    assert filler.fill(linger=0) == 4
    assert not waiting_requests(project).exists()
    written = Completion.objects.filter(request__isnull=False).select_related("source")
    said = Counter((row.source.name, row.text.split(" says ")[0]) for row in written)
    name = adapter_name(folder)
    assert said == {("policy 1", name): 8, ("base 1", "some-model"): 8}
    for row in written:
        assert row.sampling["seed"] == int(row.text.rpartition(" ")[2])
        assert (row.finished, row.tokens) == (True, 5)
    slates = Slate.objects.filter(request__isnull=False)
    assert [slate.items.count() for slate in slates] == [4] * 4
    assert sampling.ask_for_stock(project) == []
    assert filler.fill(linger=0) == 0
    assert written.count() == 16


def test_it_takes_no_device_and_no_run_is_asked_to_pause(
    project: Project, vllm: Vllm, filler: sampling.Filler, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cpu,) = devices.for_training()
    lease = devices.lease(cpu, holder="run 1")
    assert lease is not None
    Device.objects.update(leased_at="2020-01-01T00:00Z")
    held: list[Any] = []
    take_in = sampling._take_in

    def look_and_take_in(*what: Any) -> None:
        held.extend(Device.objects.exclude(token=None).values_list("name", "wanted_at"))
        take_in(*what)

    monkeypatch.setattr(sampling, "_take_in", look_and_take_in)
    ask_for_stock(project)
    assert filler.fill(linger=0) == 4
    assert held == [(cpu, None)], "the run's, and nobody wants it"
    assert devices.renew(lease)


def test_a_run_does_not_wait_for_a_stock_that_is_written_elsewhere(
    project: Project, vllm: Vllm, filler: sampling.Filler
) -> None:
    ask_for_stock(project)
    inputs = runs.Inputs(base=base_checkpoint(project))
    runs.create_run(project=project, kind="reward", inputs=inputs)
    filler._be_seen()
    (cpu,) = devices.for_training()
    assert work.may_start(cpu)
    devices.lease(cpu, holder="run 1")
    assert not work.is_due(), "the server is no device that a run could take"


def test_the_page_sees_that_somebody_samples(
    project: Project, vllm: Vllm, filler: sampling.Filler
) -> None:
    assert sampling_now(Device.objects.all()) is Sampling.NOBODY
    filler.fill(linger=0)
    assert sampling_now(Device.objects.all()) is Sampling.AT_WORK


def test_a_failure_is_told_and_the_prompts_are_tried_again_later(
    project: Project, vllm: Vllm, filler: sampling.Filler
) -> None:
    vllm.stop()
    ask_for_stock(project, 2)
    assert filler.fill(linger=0) == 2
    failed = SampleRequest.objects.filter(state=SampleRequest.State.FAILED)
    assert {one.error_code for one in failed} == {"server_away"}
    assert vllm.url in explain(failed[0].error_code, failed[0].error_values)
    assert sampling.ask_for_stock(project) == [], "they rest"
    SampleRequest.objects.update(done_at="2020-01-01T00:00Z")
    vllm.start()
    assert len(sampling.ask_for_stock(project)) == 2
    assert filler.fill(linger=0) == 2
    assert ready_slates(project) == 2
    assert Completion.objects.count() == 8


def test_one_refused_prompt_does_not_fail_the_others(
    project: Project, vllm: Vllm, filler: sampling.Filler
) -> None:
    ask_for_stock(project, 3)
    asked = list(waiting_requests(project))
    long = asked[1].prompt.messages

    def refuse(path: str, body: Any) -> Answer | None:
        wrong = path == CHAT and body["messages"] == long
        return error(400, "maximum context length is 64 tokens") if wrong else None

    vllm.fault = refuse
    assert filler.fill(linger=0) == 3
    asked[1].refresh_from_db()
    assert (asked[1].state, asked[1].error_code) == ("failed", "server_refused")
    assert "maximum context length" in asked[1].error_values["message"]
    assert ready_slates(project) == 2


def test_a_deployed_policy_is_not_written_for_by_a_server_without_adapters(
    project: Project, vllm: Vllm, filler: sampling.Filler
) -> None:
    policy = steps.make_policy(project)
    with_adapter(policy)
    deployments.deploy(checkpoint=policy, by=None)
    vllm.loads_adapters = False
    SampleRequest.objects.all().delete()
    request = SampleRequest.objects.create(prompt=factories.make_prompt(project), k=4)
    assert filler.fill(linger=0) == 1
    request.refresh_from_db()
    assert (request.state, request.error_code) == ("failed", "server_lacks_adapter")
    assert not Completion.objects.filter(request=request).exists()


def test_hostile_texts_are_stored_harmless(
    project: Project, vllm: Vllm, filler: sampling.Filler
) -> None:
    text = "a\x00b\x1b[31m\u202e<script>\ud800"
    vllm.fault = lambda path, _body: (200, completion(text)) if path == CHAT else None
    ask_for_stock(project, 1)
    assert filler.fill(linger=0) == 1
    stored = {row.text for row in Completion.objects.all()}
    assert stored == {"a\N{REPLACEMENT CHARACTER}b\x1b[31m\u202e<script>\N{REPLACEMENT CHARACTER}"}


def test_hostile_words_of_a_refusal_are_stored_harmless(
    project: Project, vllm: Vllm, filler: sampling.Filler
) -> None:
    vllm.fault = lambda _path, _body: error(418, "a\x00\ud800" + "x" * 10_000)
    ask_for_stock(project, 1)
    assert filler.fill(linger=0) == 1
    message = SampleRequest.objects.get().error_values["message"]
    assert message.startswith("a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}xx")
    assert len(message) == sampling_server.MOST_SAID


def test_results_that_come_twice_are_stored_once(
    project: Project, vllm: Vllm, filler: sampling.Filler
) -> None:
    ask_for_stock(project, 2)
    batch = list(waiting_requests(project))
    assert filler._fulfil(batch) == 2
    before = set(Completion.objects.values_list("pk", "text"))
    assert filler._fulfil(batch) == 2, "as a second worker with the same requests would"
    assert set(Completion.objects.values_list("pk", "text")) == before
    assert Slate.objects.count() == 2


def test_a_worker_that_stops_leaves_its_requests_waiting(project: Project, vllm: Vllm) -> None:
    stopping = threading.Event()
    filler = sampling.Filler(stopping)
    ask_for_stock(project)
    vllm.seconds = 10
    threading.Timer(0.3, stopping.set).start()
    began = time.monotonic()
    assert filler.fill(linger=0) == 0
    assert time.monotonic() - began < 6
    assert waiting_requests(project).count() == 4
    assert not Completion.objects.exists()
