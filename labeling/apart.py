"""One project's trouble is its own: errors in a loop over projects are logged, and it goes on."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def apart(doing: str, subject: object = "") -> Iterator[None]:
    """Log whatever the block raises, with its traceback, and go on after it.

    doing, subject: what was being done and for whom, for the log.
    """
    try:
        yield
    except Exception:
        logger.exception("%s failed (%s); the next tick tries again", doing, subject)
