"""Completions from an OpenAI-compatible server (vLLM, llama.cpp's, TGI), in the sampling process's
place where RANKLOOP_SAMPLING_URL names one.

The same face as `training/sampler.py`. One completion a request, each with a seed of its own:
llama.cpp and TGI write no more at once, and vLLM keeps a prompt's cache between them. Knows nothing
of projects or rows.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from training.records import CompletionRow
from training.sampler import WAIT_SECONDS, SamplerError
from training.sampling_server import PATIENCE, SamplingServer, ServerRefused, nonsense
from training.served_policy import SHORT_SECONDS, ServedPolicy

AT_ONCE = 16
"""Requests that the server is given at the same time."""
TOKENS_A_SECOND = 5.0
"""Slower than any server writes in all; it bounds the wait for one answer."""
CHARACTERS_A_TOKEN = 256
"""More than the longest token of any vocabulary has."""
FINISHED = {"stop": True, "length": False}
"""By finish_reason: whether the model ended by itself."""
BLAMES_PROMPT = (400, 413, 422)

Found = TypeVar("Found")


class PromptRefused(SamplerError):  # noqa: N818  # named for what a caller says of it
    """The server refuses one prompt, such as one that is too long; the others are not to blame."""

    def __init__(self, prompt: str, refused: ServerRefused) -> None:
        """`prompt`: its id."""
        self.prompt = prompt
        super().__init__(refused.code, **refused.values)


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """How completions are drawn."""

    max_new_tokens: int
    temperature: float
    seed: int

    @property
    def seconds(self) -> float:
        """How long one answer may take, with as many others before it as we ask for at once."""
        return SHORT_SECONDS + AT_ONCE * self.max_new_tokens / TOKENS_A_SECOND


class ServedSampler:
    """Asks the server. Nothing of it runs here, so it needs no device and there is none to free."""

    def __init__(self, url: str, key: str) -> None:
        """Ask nothing yet."""
        self._url, self._key = url, key

    def sample(
        self,
        *,
        base: str,
        adapter: str | None,
        prompts: Sequence[Mapping[str, Any]],
        samples: int,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> list[CompletionRow]:
        """Sample `samples` completions for each of `prompts` ({"id", "messages"}).

        meanwhile is called about once a second; what it raises cuts the requests off.
        Raises SamplerError; PromptRefused where one prompt is to blame.
        """
        wish = _Wish(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
        limit = (1 + math.ceil(len(prompts) * samples / AT_ONCE)) * (PATIENCE + wish.seconds)
        server = SamplingServer(self._url, self._key)
        policy = ServedPolicy(server, base=base, adapter=adapter)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="completion") as threads:
            try:
                _await([threads.submit(policy.make_ready)], meanwhile, server.url, limit)
                asked = [
                    threads.submit(_complete, server.url, policy, prompt, number, wish)
                    for prompt in prompts
                    for number in range(samples)
                ]
                return _await(asked, meanwhile, server.url, limit)
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                server.close()
                raise


def _await(
    asked: Sequence[Future[Found]], meanwhile: Callable[[], object], url: str, limit: float
) -> list[Found]:
    """The results in order, once all are there; the first error as soon as it is."""
    began = time.monotonic()
    missing = set(asked)
    while missing:
        done, missing = wait(missing, timeout=WAIT_SECONDS, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        meanwhile()
        if missing and time.monotonic() - began > limit:
            raise SamplerError("server_silent", url=url, seconds=round(limit))
    return [future.result() for future in asked]


def _complete(
    url: str, policy: ServedPolicy, prompt: Mapping[str, Any], number: int, wish: _Wish
) -> CompletionRow:
    """One completion of one prompt."""
    identity = str(prompt["id"])
    seed = seed_of(wish.seed, identity, number)
    body = {
        "messages": prompt["messages"],
        "n": 1,
        "stream": False,
        "max_tokens": wish.max_new_tokens,
        "temperature": wish.temperature,
        "seed": seed,
    }
    try:
        answer = policy.chat(body, seconds=wish.seconds)
    except ServerRefused as refused:
        if refused.status in BLAMES_PROMPT:
            raise PromptRefused(identity, refused) from refused
        raise
    text, finished, tokens = read_completion(url, answer, most_tokens=wish.max_new_tokens)
    return {
        "id": f"{identity}:{seed}:{number}",
        "prompt": identity,
        "sample": number,
        "text": text,
        "finished": finished,
        "tokens": tokens,
        "seed": seed,
    }


def seed_of(seed: int, prompt: str, number: int) -> int:
    """31 bits, which every server takes, of their own for each completion."""
    digest = hashlib.sha256(f"{seed}-{prompt}-{number}".encode()).digest()
    return int.from_bytes(digest[:4]) >> 1


def read_completion(
    url: str, answer: Mapping[str, Any], *, most_tokens: int
) -> tuple[str, bool, int]:
    """Text, finished, tokens of an answer. Raises SamplerError("server_nonsense")."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != 1:
        count = len(choices) if isinstance(choices, list) else 0
        raise nonsense(url, f"{count} choices, not 1")
    choice, usage = _object(choices[0]), _object(answer.get("usage"))
    text, reason = _object(choice.get("message")).get("content"), choice.get("finish_reason")
    tokens = usage.get("completion_tokens")
    if not isinstance(text, str):
        raise nonsense(url, "a choice without text")
    if not isinstance(reason, str) or reason not in FINISHED:
        raise nonsense(url, f"finish_reason {str(reason)[:40]!r}, not stop or length")
    if type(tokens) is not int or not 0 <= tokens <= most_tokens:
        raise nonsense(url, f"completion_tokens {str(tokens)[:40]}, not 0 to {most_tokens}")
    if len(text) > CHARACTERS_A_TOKEN * most_tokens:
        raise nonsense(url, f"{len(text)} characters, which {most_tokens} tokens never have")
    return text, FINISHED[reason], tokens


def _object(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}
