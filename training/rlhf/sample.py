"""Completions: a batch run, `python -m training.rlhf.sample RUN_DIR`, or a server, `--serve`.

The batch run reads data/prompts.jsonl and appends completions.jsonl. The server keeps one base in
memory and answers JSON lines on stdin with JSON lines on stdout, one at a time and in order; the
end of stdin ends it, also in the middle of a request. Logs go to stderr.

    {"id", "op": "load", "base": folder, "adapter": folder | null}
    {"id", "op": "sample", "adapter": folder | null, "prompts": [{"id", "messages"}], "samples",
     "max_new_tokens", "temperature" (0: greedy), "seed"} → {"id", "completions": [CompletionRow]}
    {"id", "op": "unload"}, {"id", "op": "ping"}         → {"id", "base", "precision", "device"}
    anything that fails                                  → {"id", "error": {"code", "values"}}
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import queue
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from training.configs import SampleConfig
from training.records import CompletionRow, ErrorRecord
from training.rlhf.adapters import SETTINGS, WEIGHTS
from training.rlhf.conversations import fit, room_for_prompt
from training.rlhf.decoding import sample
from training.rlhf.durable import RunError, file_sha256, verify_manifest
from training.rlhf.encoding import encode_prompt
from training.rlhf.models import (
    LanguageModel,
    decode,
    load_adapter,
    load_language_model,
)
from training.rlhf.precision import choose_compute, choose_device, choose_threads, measure_precision
from training.rlhf.process import Control, Stopped, as_run_error, run_recipe
from training.rlhf.randomness import uniforms
from training.rlhf.rundir import ResultMetrics, RunDirectory

SERVED_ROWS = 96
"""Completions sampled at a time by the server: a batch of the stock in one go, which a CPU does an
eighth faster than as 64 and 32. Long ones go in parts (`decoding.CACHE_BYTES`)."""

KEPT_POLICIES = 2
"""Policies beside the base that the server keeps in memory."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How completions are drawn."""

    samples: int
    max_new_tokens: int
    temperature: float
    """0: greedy, always the likeliest token."""
    seed: int
    max_prompt_tokens: int = 1024

    def __post_init__(self) -> None:
        """Raises RunError("config_invalid")."""
        counts = (self.samples, self.max_new_tokens, self.max_prompt_tokens)
        if not all(isinstance(number, int | float) and number > 0 for number in counts):
            problem = "samples, max_new_tokens, max_prompt_tokens: must be above 0"
            raise RunError("config_invalid", problems=problem)
        if not (isinstance(self.temperature, int | float) and self.temperature >= 0):
            problem = "temperature: must be 0, which is greedy, or above"
            raise RunError("config_invalid", problems=problem)

    def room(self, lm: LanguageModel) -> int:
        """Tokens that a prompt may have (`room_for_prompt`)."""
        return room_for_prompt(lm, most=self.max_prompt_tokens, new_tokens=self.max_new_tokens)


def policy_source(lm: LanguageModel, adapter: str | None) -> str:
    """What stands for a policy: the sha256 of the adapter's manifest or weights, or the base's."""
    if adapter is None:
        return lm.sha256
    folder = Path(adapter)
    if not (folder / SETTINGS).is_file():
        return lm.sha256
    return verify_manifest(folder) or file_sha256(folder / WEIGHTS)


def complete(
    lm: LanguageModel,
    prompts: Sequence[Mapping[str, Any]],
    sampling: Sampling,
    source: str,
    control: Control,
) -> list[CompletionRow]:
    """One batch: `sampling.samples` completions of each prompt ({"id", "messages"}), in order.

    The same prompt, policy, seed and batch give the same completions. A prompt longer than
    max_prompt_tokens, or than the model has room for, loses its oldest messages.
    """
    room = sampling.room(lm)
    rollout = sample(
        lm,
        [encode_prompt(lm, prompt["messages"], room) for prompt in prompts],
        samples=sampling.samples,
        max_new_tokens=sampling.max_new_tokens,
        temperature=sampling.temperature,
        uniforms=uniforms(
            sampling.seed,
            0,
            [str(prompt["id"]) for prompt in prompts],
            sampling.samples,
            sampling.max_new_tokens,
        ),
        control=control,
    )
    counts, finished = rollout.batch.mask.sum(1).tolist(), rollout.finished.tolist()
    logprobs = rollout.logprobs.sum(1).tolist()
    rows: list[CompletionRow] = []
    for row in range(len(prompts) * sampling.samples):
        prompt, number = str(prompts[row // sampling.samples]["id"]), row % sampling.samples
        rows.append(
            {
                "id": f"{prompt}:{source[:16]}:{sampling.seed}:{number}",
                "prompt": prompt,
                "sample": number,
                "text": decode(lm, rollout.completion(row)),
                "finished": finished[row],
                "tokens": counts[row],
                "logprob": logprobs[row],
                "seed": sampling.seed,
            }
        )
    return rows


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Sample for every prompt of data/prompts.jsonl; goes on after the last whole batch."""
    config = directory.config
    if not isinstance(config, SampleConfig):
        raise RunError("config_invalid", problems=f"recipe: is {config.recipe}, must be sample")

    # 1. The policy, and the batches, which are the same at each start.
    compute = choose_compute(directory)
    lm = load_language_model(
        config.base, device=compute.device, precision=compute.precision, adapter=config.adapter
    )
    source = policy_source(lm, config.adapter)
    sampling = Sampling(
        samples=config.samples_per_prompt,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        seed=config.seed,
        max_prompt_tokens=config.max_prompt_tokens,
    )
    prompts = [{"id": row["id"], "messages": row["prompt"]} for row in directory.rows("prompts")]
    if not prompts:
        raise RunError("data_missing", file="data/prompts.jsonl")
    prompts.sort(key=lambda prompt: (len(json.dumps(prompt["messages"])), str(prompt["id"])))
    batches = list(_batches(prompts, sampling.samples, config.batch))

    # 2. Batch by batch; each is durable, with its numbers, before the next begins.
    state = directory.load_state()
    sums = {"completions": 0, "tokens": 0, "finished": 0, "prompts_cut": 0}
    sums |= state.values if state else {}
    room = sampling.room(lm)
    for step in range(state.step if state else 0, len(batches)):
        start = time.monotonic()
        rows = complete(lm, batches[step], sampling, source, control)
        directory.append_rows("completions", rows)
        tokens = sum(row["tokens"] for row in rows)
        sums["completions"] += len(rows)
        sums["tokens"] += tokens
        sums["finished"] += sum(row["finished"] for row in rows)
        sums["prompts_cut"] += sum(fit(lm, one["messages"], room).cut for one in batches[step])
        directory.log_metrics(
            step + 1,
            len(batches),
            tokens_per_second=tokens / (time.monotonic() - start),
            finished_share=sums["finished"] / sums["completions"],
            length=sums["tokens"] / sums["completions"],
        )
        directory.save_state(step + 1, {}, sums)

    # 3. What came of it.
    return {
        "prompts": len(prompts),
        "completions": sums["completions"],
        "tokens": sums["tokens"],
        "finished_share": sums["finished"] / sums["completions"],
        "prompts_cut": sums["prompts_cut"],
        "source": source,
    }


def _batches(
    prompts: Sequence[Mapping[str, Any]], samples: int, rows: int
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Prompts in batches of about `rows` completions, at least one prompt each."""
    size = max(1, rows // samples)
    for start in range(0, len(prompts), size):
        yield prompts[start : start + size]


class Server:
    """Answers requests with one base and a few policies on it in memory."""

    def __init__(self, *, device: str, precision: str, threads: int) -> None:
        self.device = choose_device(device)
        torch.set_num_threads(choose_threads(threads))
        self.precision = measure_precision(self.device) if precision == "auto" else precision
        self.control = Control()
        self._base: LanguageModel | None = None
        self._policies: OrderedDict[str, LanguageModel] = OrderedDict()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request, without its id. Raises RunError and what torch raises."""
        operation = request.get("op")
        if operation == "load":
            self._load(str(_asked(request, "base")))
            self._policy(request.get("adapter"))
        elif operation == "sample":
            return {"completions": self._sample(request)}
        elif operation == "unload":
            self._unload()
        elif operation != "ping":
            raise RunError("config_invalid", problems="op: must be load, sample, unload or ping")
        base = self._base.path if self._base else None
        return {"base": base, "precision": self.precision, "device": self.device}

    def _load(self, base: str) -> None:
        if self._base is not None and self._base.path == base:
            return
        self._unload()
        precision: Any = self.precision
        self._base = load_language_model(base, device=self.device, precision=precision)

    def _unload(self) -> None:
        self._base = None
        self._policies.clear()
        gc.collect()
        if torch.device(self.device).type == "cuda":
            torch.cuda.empty_cache()

    def _policy(self, adapter: str | None) -> LanguageModel:
        """The base with an adapter, or a whole fine-tuned model in its place; loaded if need be."""
        if self._base is None:
            raise RunError("model_not_found", path="load a base before sampling")
        if adapter is None:
            return self._base
        if adapter not in self._policies:
            while len(self._policies) >= KEPT_POLICIES:
                self._policies.popitem(last=False)
            if (Path(adapter) / SETTINGS).is_file():
                policy = self._base.with_adapter(load_adapter(self._base, adapter))
            else:
                precision: Any = self.precision
                policy = load_language_model(adapter, device=self.device, precision=precision)
            self._policies[adapter] = policy
        self._policies.move_to_end(adapter)
        return self._policies[adapter]

    def _sample(self, request: dict[str, Any]) -> list[CompletionRow]:
        adapter = request.get("adapter")
        policy = self._policy(adapter)
        sampling = Sampling(
            samples=_asked(request, "samples"),
            max_new_tokens=_asked(request, "max_new_tokens"),
            temperature=_asked(request, "temperature"),
            seed=_asked(request, "seed"),
        )
        prompts = _asked(request, "prompts")
        for prompt in prompts:
            if not prompt.get("messages") or "id" not in prompt:
                raise RunError("config_invalid", problems="prompts: each needs an id and messages")
        source = policy_source(policy, adapter)
        rows: list[CompletionRow] = []
        for batch in _batches(prompts, sampling.samples, SERVED_ROWS):
            rows += complete(policy, batch, sampling, source, self.control)
        return rows


def serve(server: Server, requests: IO[str], answers: IO[str]) -> None:
    """Answer lines until `requests` ends; what is being sampled then is dropped."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in requests:
            lines.put(line)
        server.control.stop()
        lines.put(None)

    threading.Thread(target=read, name="requests", daemon=True).start()
    while (line := lines.get()) is not None:
        if not line.strip():
            continue
        try:
            answer = _answer_line(server, line)
        except Stopped:
            return
        answers.write(json.dumps(answer, ensure_ascii=False) + "\n")
        answers.flush()


def _answer_line(server: Server, line: str) -> dict[str, Any]:
    identity: Any = None
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise RunError("config_invalid", problems="a request must be a JSON object")  # noqa: TRY301 - one way to fail
        identity = request.get("id")
        return {"id": identity, **server.answer(request)}
    except Stopped:
        raise
    except json.JSONDecodeError as error:
        failure = RunError("config_invalid", problems=f"a request must be JSON: {error.msg}")
    except RunError as error:
        failure = error
    except Exception as error:
        logger.exception("request %s failed", identity)
        failure = as_run_error(error, 0)
    record: ErrorRecord = {"code": failure.code, "values": failure.values}
    return {"id": identity, "error": record}


def _asked(request: dict[str, Any], name: str) -> Any:
    if name not in request:
        raise RunError("config_invalid", problems=f"{name}: is missing")
    return request[name]


def serve_process(arguments: Sequence[str]) -> int:
    """`--serve`: stdin and stdout are the protocol; whatever else would print goes to stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(prog="python -m training.rlhf.sample")
    parser.add_argument("--serve", action="store_true", required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args(arguments)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        server = Server(device=options.device, precision=options.precision, threads=options.threads)
        # Never closed: closing waits for the thread that reads it.
        requests = open(0, encoding="utf-8", newline="\n", closefd=False)  # noqa: SIM115
        with answers:
            serve(server, requests, answers)
    except RunError as error:
        logger.error("%s", error)  # noqa: TRY400 - a sentence, not a traceback
        return 1
    except BrokenPipeError:
        logger.info("nobody reads the answers any more")
    return 0


if __name__ == "__main__":
    if "--serve" in sys.argv[1:]:
        raise SystemExit(serve_process(sys.argv[1:]))
    raise SystemExit(run_recipe(main, "sample"))
