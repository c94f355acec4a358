"""Python commands as real processes that start in no time: forked from one that knows torch.

A recipe on a tiny model computes for a second or two, and imports for five. Each process here is
its own, in a session of its own, with its own signals, pipes and exit code: only its imports are
done.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from unittest import mock

KNOWN = ["training.rlhf.closed.recipe", "training.rlhf.tiny_model", "transformers.models.llama"]
RECIPES = ["dpo", "evaluate", "grpo", "ppo", "pretrain", "rejection", "reward", "sample", "sft"]

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([*KNOWN, *(f"training.rlhf.{name}" for name in RECIPES)])


class Forked:
    """A process, with what tests use of subprocess.Popen. Its environment is that of the first."""

    def __init__(self, arguments: Sequence[str], output: Path, *, piped: bool = False) -> None:
        """arguments: as python takes them, -m MODULE … or -c CODE …; output: gets both streams.

        piped: `stdin` is a pipe to it; else it reads nothing.
        """
        with _single_threaded():
            forkserver.ensure_running()
        reader, writer = _processes.Pipe(duplex=False) if piped else (None, None)
        self.stdin = None if writer is None else os.fdopen(os.dup(writer.fileno()), "wb", 0)
        self._process = _processes.Process(
            target=_run, args=(arguments, output, reader), daemon=True
        )
        self._process.start()
        for end in (reader, writer):
            if end is not None:
                end.close()
        self.output = output

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float = 60) -> int:
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("a forked process", seconds)
        return code

    def send_signal(self, number: int) -> None:
        """To the process, where it has not ended; the server has buried it at once then."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill_all(self) -> None:
        """-9 to it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def _run(arguments: Sequence[str], output: Path, stdin: Connection | None) -> None:
    """In the child: become what `python ARGUMENTS` would be."""
    os.setsid()
    source = os.open(os.devnull, os.O_RDONLY) if stdin is None else os.dup(stdin.fileno())
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for place, number in enumerate((source, written, written)):
        os.dup2(number, place)
    if stdin is not None:
        stdin.close()
    for number in (source, written):
        os.close(number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 - as long as the process
    kind, what, *rest = arguments
    sys.argv = [what if kind == "-m" else kind, *rest]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1"}):
        yield
