"""From the end of a process to rows: checkpoint, evaluation, the round's next step; or the error.

Files are moved first; then one transaction closes the run, records what it left, and queues what
comes next. Taken in twice it is taken in once.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F

from labeling.apart import apart
from training import (
    artifacts,
    breakdowns,
    checkpoints,
    evaluations,
    launcher,
    rounds,
    runs,
    second_opinions,
)
from training.follower import Ending
from training.full_disk import is_full_disk
from training.models import Evaluation, Run

LOCKED_PAUSE = 2.0
"""Seconds before a run whose directory another process still holds is given back."""
EXIT_DISK_FULL, EXIT_STOPPED = 74, 75
"""As `training/rlhf/process.py` has them."""

logger = logging.getLogger(__name__)


def settle(run: Run, folder: Path, *, ending: Ending, exit_code: int) -> None:
    """Close, fail, or give back a run whose process has ended.

    Settled twice it is settled once. Raises ClaimLost, also the second time.
    """
    if ending is Ending.LOST:
        return
    if not runs.is_ours(run):
        raise runs.ClaimLost
    result = read_result(folder)
    if result is not None and result.get("status") == "succeeded":
        take_in(run, folder, result)
    elif ending is Ending.CANCELLED:
        runs.close_cancelled(run)
    elif ending is Ending.SHUTDOWN:
        runs.give_back(run)
    elif result is not None and result.get("status") == "failed":
        error = result.get("error") or {"code": "internal", "values": {"message": ""}}
        fail(run, code=error["code"], values=error["values"])
    elif exit_code == EXIT_DISK_FULL:
        fail(run, code="disk_full", values={"path": str(folder)})
    elif exit_code == EXIT_STOPPED:
        time.sleep(LOCKED_PAUSE)
        runs.give_back(run)
    else:
        _died(run, exit_code)


def read_result(folder: Path) -> Mapping[str, Any] | None:
    """result.json, or None where the process left none."""
    path = folder / "result.json"
    if not path.is_file():
        return None
    result: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def fail(run: Run, *, code: str, values: Mapping[str, Any]) -> None:
    """Close the run with an error; its round stops, or ends where rankings are what is missing."""
    with transaction.atomic():
        runs.fail(run, code=code, values=values)
        if code == "too_few_rankings":
            found, needed = int(values.get("found", 0)), int(values.get("needed", 1))
            rounds.ended_for_want_of_rankings(run, found=found, needed=needed)


def fail_for(run: Run, error: Exception) -> None:
    """Close the run because of what was raised around it. Raises ClaimLost."""
    if isinstance(error, runs.ClaimLost):
        raise error
    if isinstance(error, launcher.CannotLaunch):
        fail(run, code=error.code, values=error.values)
    elif isinstance(error, OSError) and is_full_disk(error):
        fail(run, code="disk_full", values={"path": error.filename or ""})
    else:
        logger.error("run %s failed", run.pk, exc_info=error)
        fail(run, code="internal", values={"message": f"{type(error).__name__}: {error}"})


def take_in(run: Run, folder: Path, result: Mapping[str, Any]) -> None:
    """Store the checkpoint's files, then close the run and go on, in one transaction.

    Each attempt stores under a name of its own: one that was overtaken spoils nothing. Raises
    ClaimLost, and OSError where the files can't be stored.
    """
    sha256 = str(result.get("sha256") or "")
    artifact = ""
    if run.kind in checkpoints.KIND_OF:
        found = artifacts.file_sha256(folder / "checkpoint" / "manifest.json")
        if found != sha256:
            path = str(folder / "checkpoint")
            values = {"path": path, "expected": sha256, "found": found}
            fail(run, code="checkpoint_corrupt", values=values)
            return
        artifact = artifacts.put_folder(folder / "checkpoint", _artifact(run, run.attempt))
    metrics = finite_numbers(result.get("metrics") or {})
    rows = _evaluation_rows(folder) if run.kind == Run.Kind.EVALUATE else []
    evaluation: Evaluation | None = None
    with transaction.atomic():
        runs.succeed(run, metrics)
        run.refresh_from_db()
        checkpoints.record(run, artifact=artifact, sha256=sha256)
        breakdowns.take_in(run, folder)
        if run.kind == Run.Kind.EVALUATE:
            evaluation = evaluations.record(run, rows, metrics)
        rounds.advance(run, metrics)
    with apart("tidying up after a run", run.pk):  # the run is closed: no error changes that
        if evaluation is not None:
            evaluations.open_blind_slates(evaluation)
        if run.kind == Run.Kind.REWARD:
            second_opinions.ask_for_second_opinions(run, folder)
        launcher.forget_states(run)
        for attempt in range(1, run.attempt):
            artifacts.remove_folder(_artifact(run, attempt))
        checkpoints.clean_up(run.project)


def finite_numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """A run's final numbers, without what is none: an accuracy of no pair at all, NaN, ∞, words.

    A bound that is missing meets no condition, and no JSON document can hold an infinite one.
    """
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _artifact(run: Run, attempt: int) -> str:
    return f"checkpoints/{run.project_id}/{run.pk}/{attempt}"


def _evaluation_rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "evaluation.jsonl"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream if line.strip()]


def _died(run: Run, exit_code: int) -> None:
    """The process was killed, or fell over without a word: try again, but not for ever."""
    logger.warning("run %s: its process ended with %s and no result", run.pk, exit_code)
    with transaction.atomic():
        Run.objects.filter(pk=run.pk, attempt=run.attempt).update(deaths=F("deaths") + 1)
        deaths = Run.objects.values_list("deaths", flat=True).get(pk=run.pk)
        if deaths >= runs.MAX_DEATHS:
            how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
            fail(run, code="process_died", values={"attempts": deaths, "exit": how})
        else:
            runs.give_back(run)
