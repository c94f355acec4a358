"""Keeps a handful of processes running, says what they say, and leaves none of them behind.

Each process leads a session of its own, so a Ctrl-C in the terminal reaches only the supervisor,
which stops the others in order. A process that dies is started again, after a pause that grows.
Should the supervisor itself be killed, its guardian (guardian.py) stops the rest. Knows nothing of
what the processes do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from config import guardian

POLL_SECONDS = 0.1
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0
"""A process that ran this long begins anew with the shortest pause."""
STOP_SECONDS = 30.0
GATE = 'read -r _ && exec "$@" < /dev/null'
"""Becomes the service when it is told so, which is once it is guarded; else it just ends."""


class NotReadyError(Exception):
    """A process did not come up."""


def always() -> bool:
    """Ready as soon as it is started."""
    return True


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process that should always run, or run once to its end."""

    name: str
    command: Sequence[str]
    stage: int
    """Lower ones start first and stop last."""
    before: int | None = None
    """The first stage that waits until this one is ready; by default the next one."""
    once: bool = False
    """Ready once it ended with exit code 0, and not started again."""
    ready: Callable[[], bool] = always
    ready_seconds: float = 60.0
    ignore: Sequence[str] = ()
    """Lines that contain one of these say nothing here, and are not shown."""

    @property
    def needed_by(self) -> int:
        """The first stage that waits for it."""
        return self.stage + 1 if self.before is None else self.before


class Printer:
    """Whole lines to one stream, each with the name of the process that wrote it."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        """Write one line. A terminal that is gone is no reason to stop."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            sys.stdout.write(f"{name:<{self._width}} | {text}\n")
            sys.stdout.flush()


class Child:
    """One service and the process that runs it now, if any."""

    def __init__(self, service: Service, printer: Printer) -> None:
        self.service = service
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        """Whether it ever was."""
        self.started_at = 0.0
        self.pause = 1.0
        self.due_at: float | None = 0.0
        """When to start it, in time.monotonic(); None while it runs or is done."""
        self.output, self._input = os.pipe()
        self._printer = printer
        self._reader = threading.Thread(target=self._read, name=service.name, daemon=True)
        self._reader.start()

    def start(self, register: Callable[[int, int], None]) -> None:
        """Start the process, have it guarded, and let it go."""
        self.due_at = None
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", GATE, "sh", *self.service.command],
            stdin=subprocess.PIPE,
            stdout=self._input,
            stderr=self._input,
            start_new_session=True,
        )
        register(self.process.pid, self.service.stage)
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as gate:
            gate.write(b"\n")  # a broken pipe: it is dead already, as the next look sees

    def returned(self) -> int | None:
        """The exit code, where the process ended since the last look."""
        return None if self.process is None else self.process.poll()

    def sweep(self) -> int:
        """Forget the ended process, kill what it left of its group; its PID."""
        assert self.process is not None
        pid, self.process = self.process.pid, None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        return pid

    def close(self) -> None:
        """Close the pipe and wait for its last line."""
        os.close(self._input)
        self._reader.join(timeout=2)

    def _read(self) -> None:
        with open(self.output, "rb", closefd=False) as lines:
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip()
                if text and not any(part in text for part in self.service.ignore):
                    self._printer.line(self.service.name, text)


class Supervisor:
    """Use as: run(), which ends with a signal or an error; then always stop()."""

    def __init__(
        self, services: Sequence[Service], *, lock: int, on_ready: Callable[[str], None]
    ) -> None:
        """`lock`: a descriptor that the guardian keeps open until all processes are gone."""
        self._printer = Printer(max(len(service.name) for service in services))
        self._children = [Child(service, self._printer) for service in services]
        self._lock = lock
        self._on_ready = on_ready
        self._guard: subprocess.Popen[bytes] | None = None
        self._interrupts = 0

    def say(self, text: str) -> None:
        """A line of the supervisor's own."""
        self._printer.line("rankloop", text)

    def run(self) -> None:
        """Start all, stage by stage, and keep them running until a signal. Raises NotReadyError."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)
        self._start_guard()
        while not self._interrupts:
            self._look()
            self._advance()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End every process, the last stage first. A second signal ends them without grace."""
        self._interrupts = 0
        for stage in sorted({child.service.stage for child in self._children}, reverse=True):
            self._stop_stage([c for c in self._children if c.service.stage == stage])
        for child in self._children:
            child.close()
        if self._guard is not None:
            self._tell("end\n")
            with contextlib.suppress(OSError):
                self._guard.communicate(timeout=5)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupts += 1

    def _start_guard(self) -> None:
        pipes = [child.output for child in self._children]
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, *map(str, pipes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[*pipes, self._lock],
            start_new_session=True,
        )
        for child in self._children:
            if child.process is not None:
                self._register(child.process.pid, child.service.stage)

    def _register(self, pid: int, stage: int) -> None:
        self._tell(f"+ {pid} {stage}\n")

    def _tell(self, line: str) -> None:
        assert self._guard is not None
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError):  # a dead guardian is found by the next look
            self._guard.stdin.write(line.encode())
            self._guard.stdin.flush()

    def _look(self) -> None:
        """See who ended."""
        if self._guard is not None and self._guard.poll() is not None:
            self._start_guard()
        for child in self._children:
            code = child.returned()
            if code is not None:
                self._tell(f"- {child.sweep()}\n")
                self._after(child, code)

    def _after(self, child: Child, code: int) -> None:
        """A process ended: it was to end, or the start fails, or it is started again later."""
        name = child.service.name
        if child.service.once and code == 0:
            self._is_ready(child)
            return
        if not child.ready:
            raise NotReadyError(f"{name} ended ({describe(code)}); its lines above say why")
        if time.monotonic() - child.started_at > STEADY_SECONDS:
            child.pause = 1.0
        child.due_at = time.monotonic() + child.pause
        self.say(f"{name} ended ({describe(code)}); starting it again in {child.pause:.0f} s")
        child.pause = min(LONGEST_PAUSE, child.pause * 2)

    def _advance(self) -> None:
        """Start whose turn it is, and notice who became ready."""
        for child in self._children:
            due = child.due_at is not None and child.due_at <= time.monotonic()
            if due and self._may_start(child):
                child.start(self._register)
            if child.process is not None and not child.ready and not child.service.once:
                self._ask(child)

    def _may_start(self, child: Child) -> bool:
        stage = child.service.stage
        return all(other.ready for other in self._children if other.service.needed_by <= stage)

    def _ask(self, child: Child) -> None:
        limit = child.service.ready_seconds
        if child.service.ready():
            self._is_ready(child)
        elif time.monotonic() - child.started_at > limit:
            raise NotReadyError(f"{child.service.name} does not answer after {limit:.0f} s")

    def _is_ready(self, child: Child) -> None:
        child.ready = True
        self._on_ready(child.service.name)

    def _stop_stage(self, children: list[Child]) -> None:
        running = [child for child in children if child.process is not None]
        for child in running:
            assert child.process is not None
            child.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while any(child.returned() is None for child in running):
            if time.monotonic() > deadline or self._interrupts:
                break
            time.sleep(POLL_SECONDS / 4)
        for child in running:
            assert child.process is not None
            process = child.process
            if child.returned() is None:
                self.say(f"{child.service.name} does not end by itself: killed")
                process.kill()
                process.wait()
            self._tell(f"- {child.sweep()}\n")


def describe(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]
