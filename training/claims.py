"""A claim and a device's lease, kept while files are moved: that may take minutes.

While a process runs `training/follower.py` renews both. Knows nothing of what is done meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from django.conf import settings
from django.db import connection

from training import devices, runs
from training.database import TROUBLE, mend
from training.models import Run

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def kept(run: Run, lease: devices.Lease | None) -> Iterator[None]:
    """Renew the run's claim, and the lease where there is one, until the block ends.

    A claim that is lost meanwhile is no longer renewed; whoever writes is fenced by its attempt.
    """
    over = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(over, run, lease), name=f"keep-{run.pk}")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _renew_until(over: threading.Event, run: Run, lease: devices.Lease | None) -> None:
    try:
        while not over.wait(settings.RUN_LEASE_SECONDS / 4):
            try:
                runs.renew(run)
                if lease is not None:
                    devices.renew(lease)
            except TROUBLE:
                logger.warning("run %s: the database does not answer", run.pk)
                mend()
    except runs.ClaimLost:
        logger.warning("run %s: another attempt has taken over", run.pk)
    finally:
        connection.close()  # this thread's own
