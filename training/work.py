"""What a training worker does: take a device, claim the oldest run, carry it out, again.

Labelers come first: the stock of slates that was asked for before a run was queued is filled
before the run takes the cores. Knows nothing of Celery.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from datetime import timedelta
from pathlib import Path

from django.db.models import Q
from django.utils import timezone

from labeling.completions import waiting_requests
from training import claims, devices, launcher, outcomes, runs
from training.database import TROUBLE, mend
from training.follower import Ending, Follower
from training.models import Run

PATIENCE = timedelta(minutes=10)
"""A run is not kept waiting for the stock longer than this."""
RETRY_PAUSES = (1.0, 5.0, 15.0)
"""Seconds between tries to settle a run while the database does not answer."""
LOOK_SECONDS = 1.0
"""Between two looks while a run waits for the stock or for a device."""

logger = logging.getLogger(__name__)


def is_due() -> bool:
    """Whether a worker should be told: a run waits, and a device may be free for it."""
    return runs.claimable().exists() and devices.any_free()


def worker_name() -> str:
    """This worker thread, for people who look at the queue. Containers of one machine differ."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_native_id()}"


def carry_out_runs(*, stopping: threading.Event) -> int:
    """Carry out runs one after the other until none is left or a stop is asked for. How many.

    Several workers and messages may call it at once: the claim and the device's lease decide.
    """
    done = 0
    while not stopping.is_set() and runs.claimable().exists():
        devices_here = devices.for_training()
        ready = [device for device in devices_here if may_start(device)]
        taken = next((lease for device in ready if (lease := _take(device))), None)
        if taken is None:
            if not _worth_waiting():
                return done
            stopping.wait(LOOK_SECONDS)
        elif not _carry_out_one(taken, stopping):
            return done
        else:
            done += 1
    return done


def may_start(device: str) -> bool:
    """Whether labelers' stock allows a run to take `device` now."""
    oldest = runs.claimable().values_list("created_at", flat=True).first()
    if oldest is None or not devices.has_sampler(device):
        return True
    if oldest < timezone.now() - PATIENCE:
        return True
    return not waiting_requests().filter(Q(created_at__lte=oldest)).exists()


def _take(device: str) -> devices.Lease | None:
    return devices.lease(device, holder=f"training on {worker_name()}")


def _worth_waiting() -> bool:
    """False where every device here has a run already: its worker will take the next one up."""
    names = devices.for_training()
    busy = runs.held().filter(device__in=names).values("device").distinct().count()
    return busy < len(names)


def _carry_out_one(lease: devices.Lease, stopping: threading.Event) -> bool:
    """Claim a run for a device that we hold, and see it through. False: there was none."""
    held: devices.Lease | None = lease
    try:
        run = runs.claim_next(worker=worker_name(), device=lease.device)
        if run is None:
            return False
        held = _see_through(run, lease, stopping)
    finally:
        if held is not None:
            devices.release(held)
    return True


def _see_through(run: Run, lease: devices.Lease, stopping: threading.Event) -> devices.Lease | None:
    """Launch, follow and settle a claimed run; the lease as it is afterwards.

    However it ends, the run is settled: closed, given back, or, where the database does not
    answer, left to lapse, so that it is taken up again.
    """
    try:
        devices.relabel(lease, holder=f"run {run.pk}")
        with claims.kept(run, lease):
            folder = launcher.prepare(run)
        process = launcher.start(run, folder, device=lease.device)
    except Exception as error:  # noqa: BLE001  # whatever it is, the run must not stay claimed
        _fail(run, error)
        return lease
    follower = Follower(run=run, folder=folder, process=process, lease=lease, stopping=stopping)
    try:
        ending = follower.follow()
    except Exception as error:  # noqa: BLE001  # as above
        _fail(run, error)
        return follower.lease
    logger.info("run %s (%s): %s, exit code %s", run.pk, run.kind, ending.value, process.poll())
    try:
        with claims.kept(run, follower.lease):
            _settle(run, folder, ending, process.poll() or 0)
    except Exception as error:  # noqa: BLE001  # as above
        _fail(run, error)
    return follower.lease


def _settle(run: Run, folder: Path, ending: Ending, exit_code: int) -> None:
    """`outcomes.settle`, tried again where the database does not answer."""
    for pause in RETRY_PAUSES:
        try:
            outcomes.settle(run, folder, ending=ending, exit_code=exit_code)
        except TROUBLE as error:
            logger.warning("run %s can't be settled yet: %s", run.pk, error)
            mend()
            time.sleep(pause)
        else:
            return
    outcomes.settle(run, folder, ending=ending, exit_code=exit_code)


def _fail(run: Run, error: Exception) -> None:
    """Close the run with the error that ended it, unless it is not ours or can't be reached."""
    try:
        if isinstance(error, TROUBLE):
            raise error
        outcomes.fail_for(run, error)
    except runs.ClaimLost:
        logger.warning("run %s: another attempt has taken over", run.pk)
    except TROUBLE:
        logger.exception("run %s: the database does not answer; its claim will lapse", run.pk)
        mend()
