"""Answers of an outside server that are no completions, and prompts that it refuses."""

from __future__ import annotations

from collections.abc import Iterator
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
from training import sampling_server
from training.errors import explain
from training.served_sampler import PromptRefused


@pytest.fixture
def vllm() -> Iterator[Vllm]:
    server = Vllm()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"<html>hello</html>", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no JSON object"),
        ({}, "0 choices, not 1"),
        ({"choices": "x"}, "0 choices, not 1"),
        (completion("x", n=0), "0 choices, not 1"),
        (completion("x", n=2), "2 choices, not 1"),
        ({"choices": [None]}, "a choice without text"),
        (completion(None), "a choice without text"),
        (completion(["x"]), "a choice without text"),
        (completion("x", reason="content_filter"), "finish_reason 'content_filter'"),
        (completion("x", tokens=None), "completion_tokens None"),
        (completion("x", tokens=True), "completion_tokens True"),
        (completion("x", tokens=9), "completion_tokens 9, not 0 to 8"),
        (completion("x" * 2049), "2049 characters, which 8 tokens never have"),
        (b" " * (sampling_server.MOST_BYTES + 1), "more than"),
    ],
)
def test_an_answer_that_is_no_completion_is_refused(vllm: Vllm, answer: Any, problem: str) -> None:
    chat_fault(vllm, 200, answer)
    code, sentence = failure(vllm)
    assert code == "server_nonsense"
    assert problem in sentence


def test_a_list_of_models_that_is_none_is_refused(vllm: Vllm) -> None:
    vllm.fault = lambda _path, _body: (200, {"data": ["x"]})
    assert failure(vllm)[0] == "server_nonsense"


def test_a_text_as_long_as_its_tokens_allow_is_taken(vllm: Vllm) -> None:
    chat_fault(vllm, 200, completion("x" * 2048))
    assert len(ask(vllm)[0]["text"]) == 2048


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (*error(400, "maximum context length is 64 tokens."), "maximum context length"),
        (400, {"object": "error", "message": "too long", "code": 400}, "too long"),
        (422, {"error": "`inputs` too long", "error_type": "validation"}, "`inputs` too long"),
        (413, b"<p>too large</p>", "<p>too large</p>"),
    ],
)
def test_a_prompt_that_is_refused_is_named_with_the_servers_words(
    vllm: Vllm, status: int, body: Any, said: str
) -> None:
    def refuse(path: str, sent: Any) -> Answer | None:
        wrong = path == CHAT and sent["messages"][0]["content"] == "long"
        return (status, body) if wrong else None

    vllm.fault = refuse
    long = {"id": "8", "messages": [{"role": "user", "content": "long"}]}
    with pytest.raises(PromptRefused) as raised:
        ask(vllm, prompts=[{"id": "7", "messages": MESSAGES}, long])
    assert raised.value.prompt == "8"
    assert f"refused with {status}: {said}" in explain(raised.value.code, raised.value.values)
