"""Beside a real process: what it reports becomes rows; cancel, shutdown, pause and death."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import OperationalError
from pytest_django import Settings

from labeling.models import Project
from tests.training import steps
from training import checkpoints, devices, follower, outcomes, runs
from training.follower import Ending, Follower
from training.launcher import run_directory
from training.models import Device, Run, RunMetric, RunSample
from training.processes import ChildProcess

CPU = "test:cpu"
PROGRAM = """
import json, os, signal, sys, threading, time
folder, steps = sys.argv[1], int(sys.argv[2])
os.chdir(folder)
told = []
def hear():
    for line in sys.stdin:
        told.append(line.strip())
    told.append("end")
threading.Thread(target=hear, daemon=True).start()
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print("begun", flush=True)
for step in range(1, steps + 1):
    with open("metrics.jsonl", "a") as stream:
        row = {"step": step, "total_steps": steps, "time": time.time(), "seconds_left": 1.0,
               "loss": 1 / step, "nothing": None}
        stream.write(json.dumps(row) + "\\n")
    with open("samples.jsonl", "a") as stream:
        stream.write(json.dumps({"step": step, "prompt": "p", "before": "b", "after": "a"}) + "\\n")
    time.sleep(0.05)
    while "pause" in told and "resume" not in told[told.index("pause"):]:
        open("paused", "w").close()
        time.sleep(0.05)
    if os.path.exists("paused"):
        os.unlink("paused")
    if "end" in told and "stubborn" not in sys.argv:
        sys.exit(75)
if "dies" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
if "hangs" in sys.argv or "stubborn" in sys.argv:
    while "end" not in told or "stubborn" in sys.argv:
        time.sleep(0.05)
    sys.exit(75)
print("ended", flush=True)
"""
"""A recipe as the contract has it, without a model: it reports, pauses, and stops when told."""


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(follower, "COPY_SECONDS", 0.1)


@pytest.fixture
def run(project: Project) -> Run:
    """A claimed run."""
    runs.create_run(
        project=project,
        kind="reward",
        inputs=runs.Inputs(base=checkpoints.base_checkpoint(project)),
    )
    run = runs.claim_next(worker="test", device=CPU)
    assert run is not None
    return run


class Followed:
    """A run under the eyes of a follower, and what happens meanwhile."""

    def __init__(self, run: Run, *words: str, steps: int = 3) -> None:
        self.run, self.folder = run, run_directory(run)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stopping = threading.Event()
        lease = devices.lease(CPU, holder="test")
        assert lease is not None
        with (self.folder / "log.txt").open("ab") as log:
            self.process = ChildProcess(
                [sys.executable, "-c", PROGRAM, str(self.folder), str(steps), *words],
                environment={},
                stdout=log,
                stderr=log,
            )
        while "begun" not in (self.folder / "log.txt").read_text():
            time.sleep(0.02)
        self.follower = Follower(
            run=run,
            folder=self.folder,
            process=self.process,
            lease=lease,
            stopping=self.stopping,
        )

    def follow(self) -> Ending:
        return self.follower.follow()

    def settle(self) -> Ending:
        ending = self.follow()
        code = self.process.poll()
        assert code is not None, "it has outlived its follower"
        outcomes.settle(self.run, self.folder, ending=ending, exit_code=code)
        self.run.refresh_from_db()
        return ending


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], bool]], None]]:
    """meanwhile(act): `act` is called at every look of the follower until it returns True."""
    acts: list[Callable[[], bool]] = []
    really_sleep = time.sleep

    def sleep(seconds: float) -> None:
        if acts and acts[0]():
            acts.pop(0)
        really_sleep(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    yield acts.append
    assert not acts, "not everything has happened"


def test_what_it_reports_becomes_rows(run: Run) -> None:
    followed = Followed(run, steps=4)
    assert followed.follow() is Ending.EXITED
    metrics = RunMetric.objects.filter(run=run)
    assert list(metrics.values_list("name", "step", "value")) == [
        ("loss", step, 1 / step) for step in (1, 2, 3, 4)
    ]
    assert RunSample.objects.filter(run=run).count() == 4
    run.refresh_from_db()
    assert (run.step, run.total_steps) == (4, 4)
    assert run.log_tail == "begun\nended\n"


def test_rows_that_were_cut_back_and_written_again_are_there_once(run: Run) -> None:
    Followed(run, steps=3).follow()
    (run_directory(run) / "metrics.jsonl").write_text("")
    Device.objects.update(token=None)
    Followed(run, steps=5).follow()
    assert RunMetric.objects.filter(run=run).count() == 5


def test_a_cancel_ends_it_and_closes_the_run(run: Run) -> None:
    runs.cancel_run(run=run)
    began = time.monotonic()
    assert Followed(run, "hangs").settle() is Ending.CANCELLED
    assert time.monotonic() - began < 10
    assert run.state == Run.State.CANCELLED


def test_a_process_that_does_not_obey_is_killed_with_its_group(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChildProcess.stop, "__kwdefaults__", {"grace": 1.0, "meanwhile": list})
    runs.cancel_run(run=run)
    followed = Followed(run, "stubborn")
    assert followed.settle() is Ending.CANCELLED
    assert followed.process.poll() == -signal.SIGKILL
    assert run.state == Run.State.CANCELLED


def test_a_shutdown_gives_the_run_back(run: Run) -> None:
    followed = Followed(run, "hangs")
    threading.Timer(0.5, followed.stopping.set).start()
    assert followed.settle() is Ending.SHUTDOWN
    assert run.state == Run.State.QUEUED
    assert runs.claim_next(worker="another", device=CPU) == run


def test_a_run_that_another_attempt_has_taken_over_is_left_alone(
    run: Run, meanwhile: Callable[[Callable[[], bool]], None]
) -> None:
    followed = Followed(run, "hangs")

    def take_over() -> bool:
        Run.objects.filter(pk=run.pk).update(attempt=run.attempt + 1, worker="another")
        return True

    meanwhile(take_over)
    assert followed.settle() is Ending.LOST
    assert run.state == Run.State.RUNNING
    assert run.worker == "another"


def test_a_claim_that_cannot_be_renewed_ends_the_process_in_time(
    run: Run, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.RUN_LEASE_SECONDS = 5

    def unreachable(*_args: object) -> None:
        raise OperationalError("no database")

    monkeypatch.setattr(runs, "record_progress", unreachable)
    followed = Followed(run, "hangs")
    began = time.monotonic()
    assert followed.follow() is Ending.LOST
    assert time.monotonic() - began < 5, "before the claim lapses"
    assert followed.process.poll() is not None


def test_a_death_is_tried_again_and_then_told(run: Run) -> None:
    for death in range(1, runs.MAX_DEATHS + 1):
        Device.objects.update(token=None)
        assert Followed(run, "dies", steps=1).settle() is Ending.EXITED
        if death < runs.MAX_DEATHS:
            assert run.state == Run.State.QUEUED
            claimed = runs.claim_next(worker="test", device=CPU)
            assert claimed is not None
            run = claimed
    assert run.state == Run.State.FAILED
    assert "signal 9" in runs.describe_error(run)


def test_it_lends_its_device_to_sampling_and_takes_it_back(
    run: Run, meanwhile: Callable[[Callable[[], bool]], None]
) -> None:
    followed = Followed(run, steps=30)
    paused = followed.folder / "paused"
    lent: list[devices.Lease] = []

    def want() -> bool:
        devices.want(CPU)
        return True

    def take() -> bool:
        lease = devices.lease(CPU, holder="sampling")
        if lease is None:
            return False
        assert paused.exists(), "never two at a time"
        lent.append(lease)
        return True

    def give_back() -> bool:
        assert paused.exists()
        steps_done = sum(1 for _ in (followed.folder / "metrics.jsonl").open())
        lent.append(lent[0])
        if len(lent) < 6:
            return False
        assert steps_done < 30
        devices.unwant(CPU)
        devices.release(lent[0])
        return True

    def is_back() -> bool:
        return Device.objects.get(name=CPU).holder == f"run {run.pk}"

    for act in (want, take, give_back, is_back):
        meanwhile(act)
    assert followed.follow() is Ending.EXITED
    assert followed.follower.lease is not None
    assert RunMetric.objects.filter(run=run).count() == 30
    assert not paused.exists()


@pytest.mark.kill
def test_a_process_whose_worker_is_killed_ends_by_itself(tmp_path: Path) -> None:
    """The worker is a real process here; only the end of the pipe tells the child."""
    worker = f"""
import os, subprocess, sys
child = subprocess.Popen(
    [sys.executable, "-c", {PROGRAM!r}, {str(tmp_path)!r}, "1", "hangs"],
    stdin=subprocess.PIPE, start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""
    import subprocess

    with subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        time.sleep(0.5)
        process.kill()
    deadline = time.monotonic() + 10
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_checkpoint_whose_sum_is_wrong_is_not_taken_in(run: Run) -> None:
    folder = run_directory(run)
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "manifest.json").write_text("{}")
    result = {"status": "succeeded", "metrics": steps.GOOD["reward"], "sha256": "0" * 64}
    outcomes.take_in(run, folder, result)
    run.refresh_from_db()
    assert run.state == Run.State.FAILED
    assert run.error_code == "checkpoint_corrupt"


def test_a_full_disk_is_told_by_its_path(run: Run) -> None:
    outcomes.fail_for(run, OSError(28, "No space left on device", "/data/there"))
    run.refresh_from_db()
    assert run.error_code == "disk_full"
    assert "/data/there" in runs.describe_error(run)


def test_a_disk_too_full_to_say_so_is_told_as_a_full_disk(run: Run) -> None:
    folder = run_directory(run)
    folder.mkdir(parents=True)
    outcomes.settle(run, folder, ending=Ending.EXITED, exit_code=74)
    run.refresh_from_db()
    assert (run.state, run.error_code) == (Run.State.FAILED, "disk_full")
    assert str(folder) in runs.describe_error(run)


def test_a_line_that_is_none_holds_no_worker_up(run: Run) -> None:
    folder = run_directory(run)
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n\x00\x00\n{"step": 2}\n')
    followed = Followed(run, steps=0)
    assert followed.follow() is Ending.EXITED
    assert list(run.metrics.values_list("step", "value")) == [(1, 0.5)]
