"""The run directory: what a recipe reads, what it leaves behind, and how it survives `kill -9`.

Knows nothing of models or losses: rows in, rows and tensors out, each write atomic or cut back.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.configs import RunConfig, parse_config
from training.records import ResultRecord, SampleRow
from training.rlhf.durable import (
    RunError,
    disk_errors,
    sync_file,
    sync_folder,
    write_atomically,
    write_manifest,
)

ResultMetrics = dict[str, float | int | str | None]

APPENDED = (
    "metrics.jsonl",
    "samples.jsonl",
    "completions.jsonl",
    "evaluation.jsonl",
    "answers.jsonl",
)
KEPT_STATES = 2


class RunLocked(Exception):  # noqa: N818 - a state of affairs, not a fault
    """Another process holds this run directory."""


@dataclass(frozen=True)
class State:
    """A complete training state: everything that a recipe needs to go on at `step` + 1."""

    step: int
    tensors: dict[str, Tensor]
    values: dict[str, Any]


def numbered_rows(path: Path, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a JSONL file, one at a time, each with its line's number; empty lines are passed.

    Raises RunError("data_invalid") with `name` as the file, the line and the problem.
    """
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, _parse_row(line, name, number)


def write_result(
    folder: Path,
    status: Literal["succeeded", "failed"],
    metrics: ResultMetrics,
    sha256: str | None,
    error: RunError | None = None,
) -> None:
    """Write result.json. Raises RunError("disk_full")."""
    record: ResultRecord = {"status": status, "metrics": metrics, "sha256": sha256}
    if error is not None:
        record["error"] = {"code": error.code, "values": error.values}
    write_atomically(folder / "result.json", json.dumps(record, indent=2))


class RunDirectory:
    """One run's folder, locked for this process. See the design, section 2, for its files."""

    def __init__(self, path: Path, lock: IO[str], config: RunConfig) -> None:
        self.path = path
        self.config = config
        self.checkpoint_sha256: str | None = None
        """Of the checkpoint that this process published; goes into result.json."""
        self.step = 0
        """The last step that was logged, saved or loaded."""
        self._lock = lock
        self._started = time.monotonic()
        self._first_step = 0

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Lock the folder and read its config.

        Raises RunLocked if another process holds it, ConfigError for a config that cannot be run,
        RunError("data_missing") where there is no config.json.
        """
        folder = Path(path)
        if not (folder / "config.json").is_file():
            raise RunError("data_missing", file=str(folder / "config.json"))
        with disk_errors(folder):
            lock = (folder / "lock").open("a", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise RunLocked(f"{folder}: another process is working on this run") from error
        try:
            config = parse_config((folder / "config.json").read_text(encoding="utf-8"))
        except BaseException:
            lock.close()
            raise
        return cls(folder, lock, config)

    def close(self) -> None:
        """Give the lock back."""
        self._lock.close()

    def has(self, name: str) -> bool:
        """Whether data/<name>.jsonl is there."""
        return (self.path / "data" / f"{name}.jsonl").is_file()

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """The rows of data/<name>.jsonl, one at a time.

        Raises RunError("data_missing"), or RunError("data_invalid") with file, line and problem.
        """
        path = self.path / "data" / f"{name}.jsonl"
        if not path.is_file():
            raise RunError("data_missing", file=f"data/{name}.jsonl")
        for _, row in numbered_rows(path, f"data/{name}.jsonl"):
            yield row

    def log_metrics(self, step: int, total_steps: int, **numbers: float | None) -> None:
        """Append a row to metrics.jsonl, with the time and the seconds left at the pace so far.

        Raises RunError("not_finite") rather than log a NaN: a run that got there has failed.
        """
        for name, number in numbers.items():
            if number is not None and not math.isfinite(number):
                raise RunError("not_finite", step=step, quantity=name)
        self.step = step
        done = max(step - self._first_step, 1)
        pace = (time.monotonic() - self._started) / done
        row = {
            "step": step,
            "total_steps": total_steps,
            "time": time.time(),
            "seconds_left": round(pace * max(total_steps - step, 0), 1),
            **numbers,
        }
        self.append_rows("metrics", [row])

    def log_samples(self, rows: Sequence[SampleRow]) -> None:
        """Append completions for people to read to samples.jsonl."""
        self.append_rows("samples", rows)

    def append_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows to <name>.jsonl, each a whole line or not there at all after a resume."""
        path = self.path / f"{name}.jsonl"
        if path.name not in APPENDED:
            raise ValueError(f"{path.name}: not one of {', '.join(APPENDED)}")
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
        with disk_errors(path), path.open("a", encoding="utf-8") as stream:
            stream.write("".join(lines))

    def write_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write <name>.jsonl whole, in the place of what a former attempt wrote."""
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
        write_atomically(self.path / f"{name}.jsonl", "".join(lines))

    def save_state(
        self, step: int, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
    ) -> None:
        """Make (tensors, values) the state to resume from. Durable when it returns.

        Call it at a whole step's boundary. The same step again is the same state: nothing is done.
        """
        states = self.path / "state"
        latest = self._latest_step()
        if latest == step:
            return
        temporary = states / f".{step}.new"
        with disk_errors(states):
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(states / str(step), ignore_errors=True)
            temporary.mkdir(parents=True)
            own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            save_file(own, temporary / "tensors.safetensors")
            sync_file(temporary / "tensors.safetensors")
            record = {"step": step, "values": dict(values), "lengths": self._lengths()}
            write_atomically(temporary / "values.json", json.dumps(record))
            temporary.rename(states / str(step))
            sync_folder(states)
            write_atomically(states / "latest", str(step))
        self.step = step
        self._forget_states(keep=step)

    def load_state(self) -> State | None:
        """The state to resume from, or None at the start.

        Cuts the JSONL files back to what they held when it was saved, so that no row is there
        twice. Raises RunError("checkpoint_corrupt") for a state that cannot be read.
        """
        step = self._latest_step()
        lengths: dict[str, int] = {}
        state = None
        if step is not None:
            folder = self.path / "state" / str(step)
            try:
                record = json.loads((folder / "values.json").read_text(encoding="utf-8"))
                state = State(step, load_file(folder / "tensors.safetensors"), record["values"])
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                raise RunError(
                    "checkpoint_corrupt",
                    path=str(folder),
                    expected="a whole state",
                    found=str(error),
                ) from error
            lengths = record["lengths"]
            self.step = self._first_step = step
        for name in APPENDED:
            path = self.path / name
            if path.exists() and path.stat().st_size > lengths.get(name, 0):
                os.truncate(path, lengths.get(name, 0))
        return state

    def checkpoint_folder(self) -> Path:
        """A fresh, empty folder on the same disk, to put the result into."""
        folder = self.path / ".checkpoint.new"
        with disk_errors(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        return folder

    def publish_checkpoint(self, folder: Path) -> str:
        """Move a finished folder to checkpoint/, replacing what was there. Returns its sha256."""
        sha256 = write_manifest(folder)
        target, old = self.path / "checkpoint", self.path / ".checkpoint.old"
        with disk_errors(target):
            shutil.rmtree(old, ignore_errors=True)
            if target.exists():
                target.rename(old)
            folder.rename(target)
            sync_folder(self.path)
            shutil.rmtree(old, ignore_errors=True)
        self.checkpoint_sha256 = sha256
        return sha256

    def result(self) -> ResultRecord | None:
        """result.json, or None while the run isn't over."""
        path = self.path / "result.json"
        if not path.is_file():
            return None
        record: ResultRecord = json.loads(path.read_text(encoding="utf-8"))
        return record

    def finish(
        self,
        status: Literal["succeeded", "failed"],
        metrics: ResultMetrics,
        sha256: str | None,
        error: RunError | None = None,
    ) -> None:
        """Write result.json, the last thing that a run does."""
        write_result(self.path, status, metrics, sha256, error)

    def _latest_step(self) -> int | None:
        try:
            return int((self.path / "state" / "latest").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _lengths(self) -> dict[str, int]:
        """Sizes in bytes of the appended files, made durable first."""
        paths = [self.path / name for name in APPENDED if (self.path / name).exists()]
        for path in paths:
            sync_file(path)
        return {path.name: path.stat().st_size for path in paths}

    def _forget_states(self, keep: int) -> None:
        """Remove all but the last two states, and what an interrupted save left behind."""
        folders = [path for path in (self.path / "state").iterdir() if path.is_dir()]
        numbers = sorted((int(path.name) for path in folders if path.name.isdigit()), reverse=True)
        kept = {str(number) for number in [n for n in numbers if n <= keep][:KEPT_STATES]}
        for path in folders:
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)


def _parse_row(line: bytes, file: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RunError("data_invalid", file=file, line=number, problem="not UTF-8") from error
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg}"
        raise RunError("data_invalid", file=file, line=number, problem=problem) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; nested lists
        problem = "not JSON that can be read: a number is too long, or lists are nested too deeply"
        raise RunError("data_invalid", file=file, line=number, problem=problem) from error
    if not isinstance(row, dict):
        raise RunError("data_invalid", file=file, line=number, problem="not a JSON object")
    return row
