"""The sampling process of one device: started, asked, unloaded. JSON lines both ways.

One long-lived `python -m training.rlhf.sample --serve`. Knows nothing of projects or rows.
"""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from training import devices
from training.processes import ChildProcess, tail, trainer_command
from training.records import CompletionRow

WAIT_SECONDS = 1.0
"""Between two calls of `meanwhile` while a request is worked on."""
STOP_SECONDS = 5.0
LOAD_LIMIT = 1800.0
"""Seconds after which a model that is still not loaded never will be."""
TOKENS_A_SECOND = 1.0
"""Slower than any machine samples; with LOAD_LIMIT it bounds the wait for one request."""

logger = logging.getLogger(__name__)


class SamplerError(Exception):
    """The sampler said no, or fell over. `code` and `values` are those of an error record."""

    def __init__(self, code: str, **values: Any) -> None:
        """Keep code and values."""
        self.code = code
        self.values = values
        super().__init__(f"{code}: {values}")


class Sampler:
    """A sampling process on `device`; it is started by the first request and after a fall."""

    def __init__(self, device: str) -> None:
        """Start nothing yet."""
        self.device = device
        self.used_at = time.monotonic()
        self._process: ChildProcess | None = None
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._loaded: str | None = None
        self._count = 0

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

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

        meanwhile is called about once a second; what it raises ends the wait and the process.
        Raises SamplerError.
        """
        if not self.running:
            self._start()
        if self._loaded != base:
            load = {"op": "load", "base": base, "adapter": adapter}
            self._ask(load, meanwhile, limit=LOAD_LIMIT)
            self._loaded = base
        request = {
            "op": "sample",
            "adapter": adapter,
            "prompts": list(prompts),
            "samples": samples,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "seed": seed,
        }
        limit = LOAD_LIMIT + len(prompts) * samples * max_new_tokens / TOKENS_A_SECOND
        rows: list[CompletionRow] = self._ask(request, meanwhile, limit=limit)["completions"]
        return rows

    def close(self) -> None:
        """End the process; its memory is free afterwards."""
        if self._process is not None:
            self._process.stop(grace=STOP_SECONDS)
        self._process, self._loaded = None, None

    def _start(self) -> None:
        self.close()
        log_path = self._log_path()
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("wb") as log:
            self._process = ChildProcess(
                trainer_command("sample", "--serve"),
                environment=devices.environment(self.device),
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._answers = queue.Queue()
        reader = threading.Thread(
            target=_read_lines,
            args=(self._process, self._answers),
            name="sampler-answers",
            daemon=True,
        )
        reader.start()

    def _ask(
        self, request: dict[str, Any], meanwhile: Callable[[], object], *, limit: float
    ) -> dict[str, Any]:
        """Send one request and wait for its answer, at most `limit` seconds."""
        self._count += 1
        identity = str(self._count)
        self.used_at = time.monotonic()
        try:
            self._send({"id": identity, **request})
            answer = self._wait_for(identity, meanwhile, limit)
        finally:
            if not self.running:
                self.close()
        self.used_at = time.monotonic()
        error = answer.get("error")
        if error:
            raise SamplerError(error["code"], **error.get("values", {}))
        return answer

    def _send(self, request: dict[str, Any]) -> None:
        if self._process is None or not self._process.say(json.dumps(request)):
            raise self._fallen()

    def _wait_for(
        self, identity: str, meanwhile: Callable[[], object], limit: float
    ) -> dict[str, Any]:
        began = time.monotonic()
        while True:
            try:
                line = self._answers.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                meanwhile()
                if time.monotonic() - began > limit:
                    self.close()
                    raise SamplerError("sampler_silent", seconds=round(limit)) from None
                continue
            if not line:
                raise self._fallen()
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == identity:
                return answer

    def _fallen(self) -> SamplerError:
        """What the process said last."""
        lines = tail(self._log_path(), 4_000).strip().splitlines()
        message = lines[-1] if lines else "it ended without a word"
        self.close()
        logger.error("the sampling process on %s ended: %s", self.device, message)
        return SamplerError("sampler_failed", message=message)

    def _log_path(self) -> Path:
        name = self.device.replace(":", "-")
        return Path(settings.DATA_DIR) / "logs" / f"sampler-{name}.txt"


def _read_lines(process: ChildProcess, answers: queue.Queue[bytes]) -> None:
    """Move lines from the process to the queue; an empty one at its end."""
    assert process.stdout is not None
    try:
        for line in process.stdout:
            answers.put(line)
    except (OSError, ValueError):
        logger.debug("the sampler's output was closed")
    answers.put(b"")
