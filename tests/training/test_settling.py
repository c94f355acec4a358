"""However a run ends, its worker goes on, and the run is settled or left to be taken up again."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django import Settings

from labeling.models import Project
from tests.training import steps
from training import artifacts, claims, devices, launcher, outcomes, runs, sampling, work
from training.follower import Ending
from training.models import Checkpoint, Run

CPU = "test:cpu"


class Done:
    """A process that has ended, and its follower."""

    def __init__(self, **what: Any) -> None:
        self.lease = what.get("lease")

    def poll(self) -> int:
        return 0

    def follow(self) -> Ending:
        return Ending.EXITED


@pytest.fixture
def claimed(project: Project, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A claimed run whose process ends at once."""
    monkeypatch.setattr(launcher, "start", lambda *_a, **_k: Done())
    monkeypatch.setattr(launcher, "prepare", launcher.run_directory)
    monkeypatch.setattr(work, "Follower", Done)
    monkeypatch.setattr(work, "RETRY_PAUSES", (0, 0))
    steps.start(project)
    run = runs.claim_next(worker="test", device=CPU)
    assert run is not None
    return run


def see_through(run: Run) -> Run:
    lease = devices.lease(CPU, holder="test")
    assert lease is not None
    assert work._see_through(run, lease, threading.Event()) == lease
    run.refresh_from_db()
    return run


def raising(error: Exception, times: int, then: Any = None) -> Any:
    """A function that raises at its first calls and goes on as `then`."""
    left = [error] * times

    def act(*arguments: Any, **named: Any) -> Any:
        if left:
            raise left.pop()
        return then(*arguments, **named) if then else None

    return act


@pytest.mark.django_db(transaction=True)  # the connection is opened anew
def test_a_database_that_is_away_for_a_moment_fails_no_run(
    claimed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = raising(OperationalError("database is locked"), 2, outcomes.settle)
    monkeypatch.setattr(outcomes, "settle", trouble)
    assert see_through(claimed).state == Run.State.QUEUED, "settled: it died without a result"
    assert claimed.deaths == 1


@pytest.mark.django_db(transaction=True)
def test_a_database_that_stays_away_leaves_the_run_to_lapse(
    claimed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "settle", raising(OperationalError("gone"), 9))
    assert see_through(claimed).state == Run.State.RUNNING
    assert claimed.error_code == ""


@pytest.mark.parametrize("where", ["prepare", "follow", "settle"])
def test_what_is_unexpected_fails_the_run_and_is_told(
    claimed: Run, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    owner = {"prepare": launcher, "follow": Done, "settle": outcomes}[where]
    monkeypatch.setattr(owner, where, raising(KeyError("step"), 1))
    assert see_through(claimed).state == Run.State.FAILED
    assert "KeyError" in runs.describe_error(claimed)


@pytest.mark.parametrize("error", [KeyError("step"), OSError(28, "full")])
def test_a_claim_that_was_lost_on_the_way_ends_no_worker(
    claimed: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(outcomes, "settle", raising(error, 1))
    Run.objects.filter(pk=claimed.pk).update(attempt=claimed.attempt + 1)
    assert see_through(claimed).state == Run.State.RUNNING


def test_claim_and_lease_are_kept_while_files_are_moved(
    claimed: Run, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    kept: list[str] = []
    monkeypatch.setattr(runs, "renew", lambda _run: kept.append("claim"))
    monkeypatch.setattr(devices, "renew", lambda _lease: kept.append("lease"))
    lease = devices.lease(CPU, holder="test")
    settings.RUN_LEASE_SECONDS = 0.2
    with claims.kept(claimed, lease):
        time.sleep(0.5)
    assert kept[:4] == ["claim", "lease"] * 2
    before = len(kept)
    time.sleep(0.1)
    assert len(kept) == before


def test_an_attempt_that_was_overtaken_spoils_no_checkpoint(project: Project) -> None:
    steps.start(project)
    old = steps.claim()
    Run.objects.filter(pk=old.pk).update(attempt=old.attempt + 1)
    steps.finish(Run.objects.get(pk=old.pk))
    artifact = Checkpoint.objects.get(kind="reward").artifact
    (folder := launcher.run_directory(old) / "checkpoint").mkdir()
    (folder / "manifest.json").write_text("another")
    result = {"status": "succeeded", "metrics": {}}
    result["sha256"] = artifacts.file_sha256(folder / "manifest.json")
    with pytest.raises(runs.ClaimLost):
        outcomes.take_in(old, launcher.run_directory(old), result)
    stored = Path(artifacts.fetch_folder(artifact)) / "manifest.json"
    assert stored.read_text() == f'{{"run": {old.pk}}}'


@pytest.mark.django_db(transaction=True)
def test_sampling_outlives_a_database_that_is_away_for_a_moment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = sampling.Filler(threading.Event())
    trouble = raising(OperationalError("gone"), 1, list)
    monkeypatch.setattr(filler, "_next_batch", trouble)
    assert filler.fill(linger=0) == 0
