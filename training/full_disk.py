"""A full disk in words, for whoever presses a button that writes files."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from labeling.refusals import Refusal

logger = logging.getLogger(__name__)


class DiskIsFull(Refusal):
    """The files of what was to be started could not be written."""

    code = "disk_full"
    status = 507
    sentence = _("The disk is full: nothing was started. Free some space and try again.")


def is_full_disk(error: OSError) -> bool:
    """Whether there is no room left, or none that this user may use."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def full_disk_refused() -> Iterator[None]:
    """Raise DiskIsFull where the block fails for want of space, so that it becomes an answer."""
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        logger.warning("nothing was started: %s", error)
        raise DiskIsFull from error
