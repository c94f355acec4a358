"""The supervisor with small processes of its own, run as a process, so that it can be killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from config import guardian

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0


class Supervised:
    """A process that supervises the services of a script; its output line by line."""

    def __init__(self, folder: Path, services: str) -> None:
        self.folder = folder
        script = (
            textwrap.dedent("""
            import os, sys
            from pathlib import Path
            from config.supervisor import NotReadyError, Service, Supervisor
            folder = Path(sys.argv[1])
            def sh(text): return ["/bin/sh", "-c", text]
            def py(text): return [sys.executable, "-c", text]
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
            """)
            + f"services = [{textwrap.dedent(services)}]\n"
            + textwrap.dedent("""
            supervisor = Supervisor(services, lock=lock, on_ready=lambda n: print(n, "ready"))
            try:
                supervisor.run()
            except NotReadyError as error:
                print("not ready:", error)
                sys.exit(1)
            finally:
                supervisor.stop()
            """)
        )
        self.log = folder / "out.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-c", script, str(folder)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def says(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = re.search(pattern, self.log.read_text(), re.MULTILINE)
            if found is not None:
                return found
            time.sleep(0.02)
        raise AssertionError(f"never said {pattern!r}: {self.log.read_text()}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[object]:
    started: list[Supervised] = []

    def start(services: str) -> Supervised:
        started.append(Supervised(tmp_path, services))
        return started[-1]

    yield start
    for supervised in started:
        if supervised.process.poll() is None:
            supervised.process.kill()
            supervised.process.wait()


def gone(pid: int, seconds: float = PATIENCE) -> bool:
    deadline = time.monotonic() + seconds
    while guardian.is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


SLEEPER = 'sh("echo pid $$; exec sleep 600")'


def test_stages_start_in_order_and_stop_in_reverse(supervise) -> None:
    service = (
        "py(\"import signal, sys, time; signal.signal(15, lambda *a: (print('bye'), sys.exit()));"
        " print('hi', flush=True); time.sleep(600)\")"
    )
    product = supervise(
        f'Service(name="b", command={service}, stage=1, '
        f'ready=lambda: "b | hi" in (folder / "out.txt").read_text()),'
        f'Service(name="a", command={service}, stage=0, '
        f'ready=lambda: "a | hi" in (folder / "out.txt").read_text()),'
    )
    product.says("^b ready")
    assert product.end() == 0
    words = [line for line in product.lines if "|" in line or "ready" in line]
    assert words == ["a | hi", "a ready", "b | hi", "b ready", "b | bye", "a | bye"]


def test_what_runs_once_holds_up_only_the_stage_that_needs_it(supervise) -> None:
    product = supervise(
        'Service(name="slow", command=sh("sleep 1; echo done"), stage=0, before=2, once=True),'
        f'Service(name="one", command={SLEEPER}, stage=1),'
        f'Service(name="two", command={SLEEPER}, stage=2),'
    )
    product.says("^two ready")
    assert product.end() == 0
    order = [line.split()[0] for line in product.lines if line.endswith("ready")]
    assert order == ["one", "slow", "two"]


def test_what_dies_is_started_again_after_a_growing_pause(supervise) -> None:
    product = supervise('Service(name="short", command=sh("exit 3"), stage=0),')
    product.says(r"short ended \(exit code 3\); starting it again in 1 s")
    product.says(r"short ended \(exit code 3\); starting it again in 2 s")
    assert product.end() == 0


def test_a_killed_process_is_named_so_and_comes_again(supervise) -> None:
    product = supervise(f'Service(name="it", command={SLEEPER}, stage=0),')
    os.kill(int(product.says(r"pid (\d+)")[1]), signal.SIGKILL)
    product.says("it       ?\\| pid|ended \\(killed by SIGKILL\\)")
    product.says(r"(?s)pid \d+.*killed by SIGKILL.*pid \d+")
    assert product.end() == 0


def test_a_start_that_fails_stops_the_rest_and_says_why(supervise) -> None:
    product = supervise(
        f'Service(name="fine", command={SLEEPER}, stage=0),'
        'Service(name="bad", command=sh("echo no such thing; exit 4"), stage=0, '
        "ready=lambda: False),"
    )
    pid = int(product.says(r"pid (\d+)")[1])
    assert product.process.wait(PATIENCE) == 1
    product.says(r"bad  ?\| no such thing")
    product.says(r"not ready: bad ended \(exit code 4\)")
    assert gone(pid, 0)


def test_a_start_that_never_answers_ends(supervise) -> None:
    product = supervise(
        f'Service(name="mute", command={SLEEPER}, stage=0, ready=lambda: False, ready_seconds=1),'
    )
    assert product.process.wait(PATIENCE) == 1
    product.says("not ready: mute does not answer after 1 s")


def test_children_of_a_service_end_with_it(supervise) -> None:
    product = supervise('Service(name="it", command=sh("sleep 600 & echo pid $!; wait"), stage=0),')
    pid = int(product.says(r"pid (\d+)")[1])
    assert product.end() == 0
    assert gone(pid, 2)


def test_a_second_signal_does_not_wait_for_the_stubborn(supervise) -> None:
    product = supervise(
        'Service(name="deaf", command=py("import signal, os, time; signal.signal(15, 1);'
        " print('pid', os.getpid(), flush=True); time.sleep(600)\"), stage=0),"
    )
    pid = int(product.says(r"pid (\d+)")[1])
    product.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert product.process.poll() is None
    started = time.monotonic()
    assert product.end(signal.SIGINT) == 0
    assert time.monotonic() - started < 5
    product.says("deaf does not end by itself: killed")
    assert gone(pid, 0)


@pytest.mark.kill
def test_a_supervisor_killed_leaves_nobody_behind(supervise) -> None:
    product = supervise(
        f'Service(name="one", command={SLEEPER}, stage=0),'
        'Service(name="two", command=sh("sleep 600 & echo child $!; while echo x; do :; done"), '
        "stage=1),"
    )
    one = int(product.says(r"pid (\d+)")[1])
    two = int(product.says(r"child (\d+)")[1])
    product.process.kill()
    assert gone(one)
    assert gone(two)


@pytest.mark.kill
@pytest.mark.parametrize("moment", [0.0, 0.002, 0.005, 0.01, 0.02, 0.04])
def test_a_supervisor_killed_in_the_middle_of_starting_leaves_nobody_behind(
    supervise, moment: float
) -> None:
    mark = f"6{uuid.uuid4().int % 10**8}"
    product = supervise(
        f'*(Service(name=str(n), command=sh("echo pid $$; exec sleep {mark}"), stage=0)'
        " for n in range(20))"
    )
    product.says(r"pid (\d+)")
    time.sleep(moment)
    product.process.kill()
    deadline = time.monotonic() + PATIENCE
    while left := [p for p in psutil.process_iter() if mark in " ".join(commandline(p))]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def commandline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.kill
def test_a_guardian_killed_is_replaced_and_still_guards(supervise, tmp_path: Path) -> None:
    product = supervise(f'Service(name="one", command={SLEEPER}, stage=0),')
    one = int(product.says(r"pid (\d+)")[1])
    first = children_of(product.process.pid) - {one}
    assert len(first) == 1
    os.kill(first.pop(), signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while len(children_of(product.process.pid) - {one}) != 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    product.process.kill()
    assert gone(one)


def children_of(pid: int) -> set[int]:
    children = psutil.Process(pid).children()
    return {child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE}
