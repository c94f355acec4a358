"""Completions from an outside server: what is asked, what is taken, and what goes wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.vllm import (
    CHAT,
    MESSAGES,
    Answer,
    Vllm,
    ask,
    chat_fault,
    completion,
    error,
    failure,
)
from training import artifacts, sampling_server, served_sampler
from training.served_policy import adapter_name
from training.served_sampler import seed_of


@pytest.fixture
def vllm() -> Iterator[Vllm]:
    server = Vllm()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for minutes in a test."""
    monkeypatch.setattr(sampling_server, "PATIENCE", 20)
    monkeypatch.setattr(sampling_server, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(sampling_server, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(served_sampler, "WAIT_SECONDS", 0.05)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_server, "PATIENCE", 0.5)


@pytest.fixture
def adapter(tmp_path: Path) -> str:
    """A folder as a run leaves it."""
    return make_adapter(tmp_path / "adapter", b"weights")


def make_adapter(folder: Path, weights: bytes) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"r": 16}')
    (folder / "adapter_model.safetensors").write_bytes(weights)
    sums = {path.name: artifacts.file_sha256(path) for path in sorted(folder.iterdir())}
    (folder / "manifest.json").write_text(json.dumps(sums))
    return str(folder)


# --- what is asked ---


def test_the_policys_own_distribution_is_asked_for(vllm: Vllm) -> None:
    (row,) = ask(vllm)
    seed = seed_of(3, "7", 0)
    assert vllm.chats == [
        {
            "model": "some-model",
            "messages": MESSAGES,
            "n": 1,
            "stream": False,
            "max_tokens": 8,
            "temperature": 0.7,
            "seed": seed,
            "top_p": 1.0,
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
        }
    ]
    assert row == {
        "id": f"7:{seed}:0",
        "prompt": "7",
        "sample": 0,
        "text": f"some-model says {seed}",
        "finished": True,
        "tokens": 5,
        "seed": seed,
    }


def test_each_completion_has_a_seed_of_its_own_and_its_place(vllm: Vllm) -> None:
    prompts = [{"id": str(number), "messages": MESSAGES} for number in range(20)]
    rows = ask(vllm, prompts=prompts, samples=3)
    assert [(row["prompt"], row["sample"]) for row in rows] == [
        (str(number), sample) for number in range(20) for sample in range(3)
    ]
    assert len({row["seed"] for row in rows}) == 60
    assert all(row["text"] == f"some-model says {row['seed']}" for row in rows)
    assert [row["seed"] for row in ask(vllm, prompts=prompts, samples=3)] == [
        row["seed"] for row in rows
    ]


def test_seeds_are_whole_numbers_of_31_bits() -> None:
    seeds = [seed_of(3, str(prompt), number) for prompt in range(50) for number in range(9)]
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert max(seeds) > 2**30
    assert len(set(seeds)) == 450


def test_a_completion_cut_at_the_limit_is_not_finished(vllm: Vllm) -> None:
    chat_fault(vllm, 200, completion("The sea is", reason="length", tokens=8))
    (row,) = ask(vllm)
    assert (row["text"], row["finished"], row["tokens"]) == ("The sea is", False, 8)


def test_a_server_that_takes_no_top_p_of_one_is_not_told_any(vllm: Vllm) -> None:
    def as_tgi_does(path: str, body: Any) -> Answer | None:
        said = "Input validation error: `top_p` must be > 0.0 and < 1.0"
        wrong = path == CHAT and "top_p" in body
        return (422, {"error": said, "error_type": "validation"}) if wrong else None

    vllm.fault = as_tgi_does
    (row,) = ask(vllm)
    assert row["finished"]
    assert "top_p" not in vllm.chats[0]
    assert vllm.chats[0]["top_k"] == -1


def test_the_server_is_kept_busy_but_not_flooded(vllm: Vllm) -> None:
    open_now, most, lock = [0], [0], threading.Lock()

    def count(path: str, _body: Any) -> Answer | None:
        if path != CHAT:
            return None
        with lock:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
        time.sleep(0.05)
        with lock:
            open_now[0] -= 1
        return 200, completion("x")

    vllm.fault = count
    assert len(ask(vllm, samples=48)) == 48
    assert 4 <= most[0] <= served_sampler.AT_ONCE


# --- models and adapters ---


def test_a_model_is_known_by_where_it_came_from(vllm: Vllm) -> None:
    vllm.model, vllm.root = "our-model", "/models/sea"
    (row,) = ask(vllm, base="/models/sea/")
    assert row["text"].startswith("our-model says")


def test_another_model_does_not_write_for_ours(vllm: Vllm) -> None:
    code, sentence = failure(vllm, base="/models/sea")
    assert code == "server_lacks_model"
    assert "serves some-model, and not “/models/sea”" in sentence
    assert not vllm.chats


def test_an_adapter_is_not_loaded_onto_another_base(vllm: Vllm, adapter: str) -> None:
    assert failure(vllm, base="/models/sea", adapter=adapter)[0] == "server_lacks_model"
    assert not vllm.adapters


def test_an_adapter_is_loaded_once_and_writes_under_its_own_name(vllm: Vllm, adapter: str) -> None:
    name = adapter_name(adapter)
    for _ in range(2):
        (row,) = ask(vllm, adapter=adapter)
        assert row["text"].startswith(f"{name} says")
    assert vllm.adapters == {name: adapter}
    assert vllm.asked.count("/v1/load_lora_adapter") == 1


def test_other_weights_have_another_name(adapter: str, tmp_path: Path) -> None:
    name = adapter_name(adapter)
    assert name == f"rankloop-{artifacts.file_sha256(Path(adapter) / 'manifest.json')[:16]}"
    assert adapter_name(make_adapter(tmp_path / "same", b"weights")) == name
    assert adapter_name(make_adapter(tmp_path / "other", b"w")) != name


def test_a_server_that_forgot_an_adapter_loads_it_again_once(vllm: Vllm, adapter: str) -> None:
    prompts = [{"id": str(number), "messages": MESSAGES} for number in range(12)]
    forgotten = threading.Event()

    def forget(path: str, _body: Any) -> Answer | None:
        if path == CHAT and not forgotten.is_set():
            forgotten.set()
            vllm.adapters.clear()
        return None

    vllm.fault = forget
    rows = ask(vllm, adapter=adapter, prompts=prompts)
    assert len(rows) == 12
    assert {row["text"].split()[0] for row in rows} == {adapter_name(adapter)}
    assert vllm.asked.count("/v1/load_lora_adapter") == 2


def test_another_worker_may_load_the_adapter_first(vllm: Vllm, adapter: str) -> None:
    def first(path: str, body: Any) -> Answer | None:
        if path == "/v1/load_lora_adapter":
            vllm.adapters[body["lora_name"]] = body["lora_path"]
        return None

    vllm.fault = first
    assert len(ask(vllm, adapter=adapter)) == 1


def test_a_server_that_loads_no_adapters_never_answers_for_one(vllm: Vllm, adapter: str) -> None:
    vllm.loads_adapters = False
    code, sentence = failure(vllm, adapter=adapter)
    assert code == "server_lacks_adapter"
    assert adapter in sentence
    assert "404: Not Found" in sentence
    assert not vllm.chats


def test_a_damaged_adapter_is_not_handed_over(vllm: Vllm, adapter: str) -> None:
    (Path(adapter) / "adapter_model.safetensors").write_bytes(b"others")
    code, sentence = failure(vllm, adapter=adapter)
    assert code == "checkpoint_corrupt"
    assert "adapter_model.safetensors" in sentence
    assert not vllm.adapters


def test_a_policy_that_is_a_whole_model_has_to_be_served_as_one(vllm: Vllm, tmp_path: Path) -> None:
    code, _sentence = failure(vllm, adapter=str(tmp_path))
    assert code == "server_lacks_model"
    vllm.root = str(tmp_path)
    (row,) = ask(vllm, adapter=str(tmp_path))
    assert row["text"].startswith("some-model says")


# --- the key ---


def test_the_key_opens_the_server_and_stands_in_no_sentence(vllm: Vllm) -> None:
    vllm.key = "sk-right"
    assert len(ask(vllm, key="sk-right")) == 1
    code, sentence = failure(vllm)
    assert code == "server_key"
    assert "RANKLOOP_SAMPLING_KEY: Unauthorized" in sentence
    vllm.fault = lambda _path, _body: error(401, "Incorrect key: sk-wrong.")
    _code, sentence = failure(vllm, key="sk-wrong")
    assert "Incorrect key: …" in sentence
    assert "sk-wrong" not in sentence


def test_a_redirect_is_not_followed(vllm: Vllm) -> None:
    vllm.fault = lambda _path, _body: (307, b"")
    assert failure(vllm)[0] == "server_refused"
    assert vllm.asked == ["/v1/models"]


# --- away, busy, slow ---


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_server_is_asked_again(vllm: Vllm, status: int) -> None:
    left = iter([status, status])

    def busy(path: str, _body: Any) -> Answer | None:
        now = next(left, None) if path == CHAT else None
        return error(now, "later") if now else None

    vllm.fault = busy
    assert len(ask(vllm)) == 1
    assert vllm.asked.count(CHAT) == 3


@pytest.mark.usefixtures("impatient")
def test_a_server_that_stays_busy_is_given_up_with_its_words(vllm: Vllm) -> None:
    chat_fault(vllm, *error(503, "Engine is sleeping."))
    code, sentence = failure(vllm)
    assert code == "server_away"
    assert "HTTP 503: Engine is sleeping." in sentence
    assert vllm.asked.count(CHAT) > 2
    chat_fault(vllm, *error(503, "No room for sk-mine"))
    assert "sk-mine" not in failure(vllm, key="sk-mine")[1]


def test_a_server_that_is_restarted_in_between_is_waited_for(vllm: Vllm, adapter: str) -> None:
    ask(vllm, adapter=adapter)
    vllm.stop()
    threading.Timer(0.2, vllm.start).start()
    (row,) = ask(vllm, adapter=adapter)
    assert row["text"].startswith(adapter_name(adapter))


@pytest.mark.usefixtures("impatient")
def test_nobody_at_that_address_is_said(vllm: Vllm) -> None:
    vllm.stop()
    code, sentence = failure(vllm)
    assert code == "server_away"
    assert vllm.url in sentence
    assert "refused" in sentence
    vllm.start()


def test_a_server_without_an_answer_is_not_waited_for_without_end(
    vllm: Vllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_sampler, "SHORT_SECONDS", 0.5)
    monkeypatch.setattr(served_sampler, "TOKENS_A_SECOND", 1e6)
    vllm.seconds = 10
    began = time.monotonic()
    assert failure(vllm)[0] == "server_silent"
    assert time.monotonic() - began < 5


def test_a_slow_answer_is_waited_for_and_the_worker_looks_around_meanwhile(vllm: Vllm) -> None:
    vllm.seconds = 0.5
    looks: list[float] = []
    assert len(ask(vllm, meanwhile=lambda: looks.append(time.monotonic()))) == 1
    assert len(looks) >= 4


def test_a_worker_that_stops_cuts_its_requests_off(vllm: Vllm) -> None:
    vllm.seconds = 10

    class Stop(Exception):
        pass

    def stop() -> None:
        if vllm.chats:
            raise Stop

    began = time.monotonic()
    with pytest.raises(Stop):
        ask(vllm, samples=40, meanwhile=stop)
    assert time.monotonic() - began < 5
    assert len(vllm.chats) <= served_sampler.AT_ONCE, "the others were never sent"
