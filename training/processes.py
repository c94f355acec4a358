"""A child process of the trainer, in a session of its own, that hears its worker through stdin.

The end of its stdin tells the child to save and stop: a worker killed with −9 leaves no orphan.
Knows nothing of runs or rows.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from django.conf import settings

GRACE_SECONDS = 20.0
"""From the signal that asks to the signal that kills; a cancel is to take 30 s at most."""
SECRETS = (
    "RANKLOOP_SECRET_KEY",
    "RANKLOOP_DATABASE",
    "RANKLOOP_BROKER",
    "RANKLOOP_SAMPLING_KEY",
)
"""Settings that a trainer has no use for and does not get."""


def trainer_command(module: str, *arguments: str) -> list[str]:
    """The command line of a module of the trainer."""
    return [sys.executable, "-m", f"training.rlhf.{module}", *arguments]


def trainer_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without secrets, with `extra`."""
    own = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return {**own, "PYTHONUNBUFFERED": "1", **extra}


class ChildProcess:
    """A started child with its pipe. `stop` asks, then kills the whole group."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdout: IO[Any] | int,
        stderr: IO[Any] | int,
    ) -> None:
        """Start it. Raises OSError where the program can't be started."""
        self._popen = subprocess.Popen(  # the caller ends it by `stop`
            list(command),
            cwd=settings.BASE_DIR,
            env=trainer_environment(environment),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Process id, and the id of its group."""
        return self._popen.pid

    @property
    def stdout(self) -> IO[bytes] | None:
        """Its standard output, where that is a pipe."""
        return self._popen.stdout

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def say(self, line: str) -> bool:
        """Write a line to its stdin; False where it no longer listens."""
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(f"{line}\n".encode())
            self._popen.stdin.flush()
        except (BrokenPipeError, ValueError):
            return False
        return True

    def stop(
        self,
        *,
        grace: float = GRACE_SECONDS,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> int:
        """Ask it to save and stop, kill its group after `grace` seconds; the exit code.

        meanwhile: called about once a second while waiting, to keep claims alive.
        """
        if self.poll() is None:
            self._signal(signal.SIGTERM)
            self._close_pipe()
            deadline = time.monotonic() + grace
            while time.monotonic() < deadline and not self._wait(1.0):
                meanwhile()
        return self.end()

    def end(self) -> int:
        """Make sure that nothing of its group is left; the exit code."""
        self._signal(signal.SIGKILL)
        self._close_pipe()
        code = self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        return code

    def _wait(self, seconds: float) -> bool:
        try:
            self._popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _close_pipe(self) -> None:
        if self._popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.close()


def tail(path: Path, size: int) -> str:
    """The last `size` bytes of a text file, from a line's start; empty where there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            length = stream.tell()
            stream.seek(max(length - size, 0))
            data = stream.read()
    except FileNotFoundError:
        return ""
    text = data.decode("utf-8", "replace").replace("\x00", "\ufffd")
    return text if length <= size else text.partition("\n")[2]
