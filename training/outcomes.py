"""From the end of a process to rows: checkpoint, evaluation, the round's next step; or the error.

Files are moved first; then one transaction closes the run, records what it left, and queues what
comes next. Taken in twice it is taken in once.
"""

from __future__ import annotations

import errno
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F

from training import artifacts, checkpoints, evaluations, launcher, rounds, runs
from training.follower import Ending
from training.models import Evaluation, Run

LOCKED_PAUSE = 2.0
"""Seconds before a run whose directory another process still holds is given back."""
EXIT_STOPPED = 75

logger = logging.getLogger(__name__)


def settle(run: Run, folder: Path, *, ending: Ending, exit_code: int) -> None:
    """Close, fail, or give back a run whose process has ended. Raises ClaimLost."""
    if ending is Ending.LOST:
        return
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


def fail_for_disk(run: Run, error: OSError) -> None:
    """Close the run because of a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        fail(run, code="disk_full", values={"path": error.filename or ""})
    else:
        fail(run, code="internal", values={"message": str(error)})


def take_in(run: Run, folder: Path, result: Mapping[str, Any]) -> None:
    """Store the checkpoint's files, then close the run and go on, in one transaction.

    Raises ClaimLost, and OSError where the files can't be stored.
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
        name = f"checkpoints/{run.project_id}/{run.pk}"
        artifact = artifacts.put_folder(folder / "checkpoint", name)
    metrics = result.get("metrics") or {}
    rows = _evaluation_rows(folder) if run.kind == Run.Kind.EVALUATE else []
    evaluation: Evaluation | None = None
    with transaction.atomic():
        runs.succeed(run, metrics)
        run.refresh_from_db()
        checkpoints.record(run, artifact=artifact, sha256=sha256)
        if run.kind == Run.Kind.EVALUATE:
            evaluation = evaluations.record(run, rows, metrics)
        rounds.advance(run, metrics)
    if evaluation is not None:
        evaluations.open_blind_slates(evaluation)
    launcher.forget_states(run)
    checkpoints.clean_up(run.project)


def _evaluation_rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "evaluation.jsonl"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream if line.strip()]


def _died(run: Run, exit_code: int) -> None:
    """The process was killed, or fell over without a word: try again, but not for ever."""
    logger.warning("run %s: its process ended with %s and no result", run.pk, exit_code)
    Run.objects.filter(pk=run.pk, attempt=run.attempt).update(deaths=F("deaths") + 1)
    deaths = Run.objects.values_list("deaths", flat=True).get(pk=run.pk)
    if deaths >= runs.MAX_DEATHS:
        how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
        fail(run, code="process_died", values={"attempts": deaths, "exit": how})
    else:
        runs.give_back(run)
