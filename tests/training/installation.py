"""A whole installation in a folder of its own: SQLite, a broker, real workers, real processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


class Installation:
    """Commands, queries and workers on one data folder."""

    def __init__(self, data: Path, broker: str, **settings: str) -> None:
        self.data = data
        self.workers: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if "RANKLOOP" not in name},
            "RANKLOOP_DATA": str(data),
            "RANKLOOP_BROKER": broker,
            "RANKLOOP_RUN_LEASE_SECONDS": "6",
            "RANKLOOP_TICK_SECONDS": "2",
            "RANKLOOP_ENV_FILE": os.devnull,
            "OMP_NUM_THREADS": "1",
            **settings,
        }
        self.manage("migrate", "--verbosity=0", "--skip-checks")

    def manage(self, *arguments: str) -> str:
        """What `manage.py` printed."""
        result = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def shell(self, code: str) -> str:
        """What a piece of Python printed last, inside the installation."""
        lines = self.manage("shell", "--no-imports", "-c", code).splitlines()
        return lines[-1] if lines else ""

    def start_shell(self, code: str) -> subprocess.Popen[bytes]:
        """The same, at work; its output is a pipe."""
        return subprocess.Popen(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
            cwd=REPOSITORY,
            env=self.environment,
            stdout=subprocess.PIPE,
        )

    def query(self, sql: str, *values: Any) -> tuple[Any, ...]:
        """The first row of a query."""
        connection = sqlite3.connect(self.data / "rankloop.sqlite3", timeout=20)
        try:
            row = connection.execute(sql, values).fetchone()
        finally:
            connection.close()
        assert row is not None
        return tuple(row)

    def run_field(self, run: int, *names: str) -> Any:
        """Columns of a run; the value alone where one is asked for."""
        row = self.query(f"SELECT {', '.join(names)} FROM training_run WHERE id = ?", run)
        return row[0] if len(names) == 1 else row

    def start_worker(self, queues: str = "training") -> subprocess.Popen[bytes]:
        """A Celery worker as the product starts it."""
        log = (self.data / f"worker-{len(self.workers)}.txt").open("wb")
        worker = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", "config", "worker", "--pool=threads"),
                *("--concurrency=1", "-Q", queues, "--without-mingle", "--without-gossip"),
                *("-n", f"worker{len(self.workers)}@%h"),
            ],
            cwd=REPOSITORY,
            env=self.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.workers.append(worker)
        return worker

    def nudge(self, task: str = "train", times: int = 1) -> None:
        """Send a task's message, as often as said."""
        self.shell(f"from training.tasks import {task}\nfor _ in range({times}): {task}.delay()")

    def logs(self) -> str:
        """What all workers printed."""
        paths = sorted(self.data.glob("worker-*.txt"))
        return "\n".join(f"--- {path.name}\n{path.read_text()[-4000:]}" for path in paths)

    def stop(self) -> None:
        """End every worker."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            try:
                worker.wait(timeout=40)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()

    def wait(self, what: str, holds: Callable[[], bool], *, seconds: float = 120) -> float:
        """Wait until `holds`; the seconds it took. Fails with the workers' logs."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"{what}: not within {seconds} s\n{self.logs()}")
            time.sleep(0.1)
        return time.monotonic() - began


def trainers(data: Path) -> list[int]:
    """Ids of live processes of the trainer that work on something in `data`."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().split(b"\x00")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z" and b"-m" in command and any(str(data).encode() in c for c in command):
            found.append(int(folder.name))
    return found
