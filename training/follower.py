"""Beside a running process: copies what it reports into rows, keeps the claim, passes orders on.

The web never opens a run directory; this is the only reader. Every write is fenced by the attempt.
Knows nothing of what a finished run's results mean (`training/outcomes.py`).
"""

from __future__ import annotations

import enum
import json
import logging
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from training import devices, runs
from training.database import TROUBLE, mend
from training.models import Run
from training.processes import GRACE_SECONDS, ChildProcess, tail

POLL_SECONDS = 0.5
"""Between two looks at the process and the device."""
COPY_SECONDS = 2.0
"""Between two copies of progress into rows."""
LOG_BYTES = 16_000
MAX_LINES = 2_000
"""Lines of a JSONL file taken in at a time."""
CLOCK = ("step", "total_steps", "time", "seconds_left")
"""Fields of a metrics row that are not metrics."""

logger = logging.getLogger(__name__)


class Ending(enum.Enum):
    """Why following ended."""

    EXITED = "exited"
    CANCELLED = "cancelled"
    SHUTDOWN = "shutdown"
    LOST = "lost"
    """Another attempt owns the run, or the claim could not be renewed; nothing is to be written."""


class Lines:
    """Whole lines of a growing JSONL file; one that was cut back is read from its start again."""

    def __init__(self, path: Path) -> None:
        """Start at the beginning."""
        self._path = path
        self._offset = 0
        self.number = 0
        """Lines read so far."""

    def new(self) -> list[dict[str, Any]]:
        """The rows that were appended since the last call, at most MAX_LINES."""
        return list(self._read())

    def restart(self) -> None:
        """Read from the beginning again."""
        self._offset = self.number = 0

    def _read(self) -> Iterator[dict[str, Any]]:
        if not self._path.is_file():
            return
        with self._path.open("rb") as stream:
            if stream.seek(0, 2) < self._offset:
                self.restart()
            stream.seek(self._offset)
            for _index in range(MAX_LINES):
                line = stream.readline()
                if not line.endswith(b"\n"):
                    return
                try:
                    row = json.loads(line)
                except ValueError:  # cut back and grown again between two looks
                    self.restart()
                    return
                self._offset += len(line)
                self.number += 1
                yield row


class Follower:
    """Follows one attempt at a run until its process ends, or has to end."""

    def __init__(
        self,
        *,
        run: Run,
        folder: Path,
        process: ChildProcess,
        lease: devices.Lease,
        stopping: threading.Event,
    ) -> None:
        """The claim (run and attempt), its directory and process, the device it holds."""
        self._run = run
        self._folder = folder
        self._process = process
        self.lease: devices.Lease | None = lease
        """None while the device is lent to sampling."""
        self._device = lease.device
        self._stopping = stopping
        self._metrics = Lines(folder / "metrics.jsonl")
        self._samples = Lines(folder / "samples.jsonl")
        self._log = ""
        self._pausing = False
        self._renewed = time.monotonic()
        self._copied = 0.0

    def follow(self) -> Ending:
        """Block until the process has ended; then say why. It never outlives this call.

        What is unexpected is raised, after the process was ended.
        """
        try:
            ending = self._follow()
        except runs.ClaimLost:
            ending = Ending.LOST
        finally:
            self._process.end()
        if ending is not Ending.LOST:
            try:
                self._copy_all()
            except runs.ClaimLost:
                return Ending.LOST
            except TROUBLE:
                self._no_database()
        return ending

    def _follow(self) -> Ending:
        while self._process.poll() is None:
            if self._stopping.is_set():
                self._stop()
                return Ending.SHUTDOWN
            if time.monotonic() - self._copied >= COPY_SECONDS:
                try:
                    if self._copy():
                        self._stop()
                        return Ending.CANCELLED
                    self._share_device()
                except TROUBLE:
                    self._no_database()
                if time.monotonic() - self._renewed > settings.RUN_LEASE_SECONDS / 2:
                    # Stop well before the claim lapses: two processes must never share a run.
                    logger.error("run %s: the claim could not be renewed", self._run.pk)
                    self._process.stop(grace=min(GRACE_SECONDS, settings.RUN_LEASE_SECONDS / 3))
                    return Ending.LOST
            elif self._pausing:
                try:
                    self._share_device()
                except TROUBLE:
                    self._no_database()
            time.sleep(POLL_SECONDS)
        return Ending.EXITED

    def _no_database(self) -> None:
        logger.warning("run %s: the database does not answer", self._run.pk)
        mend()

    def _stop(self) -> None:
        def renew() -> None:
            try:
                runs.renew(self._run)
            except TROUBLE:
                self._no_database()
            except runs.ClaimLost:
                pass  # the end is near, and it writes nothing

        self._process.stop(meanwhile=renew)

    def _copy_all(self) -> None:
        """Once more from the start, whatever was cut back or missed on the way."""
        self._metrics.restart()
        self._samples.restart()
        self._copy()
        read = 0
        while self._metrics.number + self._samples.number > read:  # a line that is none ends it
            read = self._metrics.number + self._samples.number
            self._copy_rows()

    def _copy(self) -> bool:
        """Copy progress into rows, which renews the claim; True where a cancel was asked for."""
        self._copy_rows()
        cancelled = runs.renew(self._run)
        self._renewed = time.monotonic()
        return cancelled

    def _copy_rows(self) -> None:
        """Copy at most MAX_LINES of each file."""
        self._copied = time.monotonic()
        samples = self._samples.new()
        first_sample = self._samples.number - len(samples)
        rows = self._metrics.new()
        log = tail(self._folder / "log.txt", LOG_BYTES)
        progress = _progress(rows, samples, first_sample, log if log != self._log else None)
        runs.record_progress(self._run, progress)
        self._log = log

    def _share_device(self) -> None:
        """Keep the device, lend it while sampling wants it, take it back after."""
        wanted = devices.is_wanted(self._device)
        paused = (self._folder / "paused").exists()
        if self.lease is not None:
            if not devices.renew(self.lease):
                logger.warning("run %s: lost the lease of %s", self._run.pk, self._device)
                self._pausing, self.lease = True, None
                self._process.say("pause")
            elif wanted and not self._pausing:
                self._pausing = self._process.say("pause")
            elif wanted and paused:
                devices.release(self.lease)
                self.lease = None
            elif not wanted and self._pausing:
                self._pausing = not self._process.say("resume")
        elif not wanted:
            self.lease = devices.lease(self._device, holder=f"run {self._run.pk}")
            if self.lease is not None:
                self._pausing = not self._process.say("resume")


def _progress(
    rows: list[dict[str, Any]],
    samples: list[dict[str, Any]],
    first_sample: int,
    log_tail: str | None,
) -> runs.Progress:
    """What the new rows say."""
    newest = rows[-1] if rows else {}
    numbers = {
        (int(row["step"]), name): float(value)
        for row in rows
        for name, value in row.items()
        if name not in CLOCK
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    }
    return runs.Progress(
        step=newest.get("step"),
        total_steps=newest.get("total_steps"),
        seconds_left=newest.get("seconds_left"),
        metrics=[(step, name, value) for (step, name), value in numbers.items()],
        samples=samples,
        first_sample=first_sample,
        log_tail=log_tail,
    )
