"""When the database does not answer for a moment: what that looks like, and how a thread recovers.

A worker's thread serves no requests, so nobody but itself drops its broken connection.
"""

from __future__ import annotations

from django.db import InterfaceError, OperationalError, connection

TROUBLE = (OperationalError, InterfaceError)
"""The database was restarted, is locked or can't be reached: trying again may help."""


def mend() -> None:
    """Drop this thread's connection where it is broken; the next query opens another."""
    connection.close_if_unusable_or_obsolete()
