"""The web server as the settings want it: `python -m config.web` becomes granian."""

from __future__ import annotations

import os
import sys

from config import settings

THREADS = 8
"""Requests that a process serves at once; each thread has a database connection of its own."""


def command() -> list[str]:
    """Granian's command line."""
    return [
        *(sys.executable, "-m", "granian", "config.wsgi:application"),
        *("--interface", "wsgi", "--no-ws"),
        *("--host", settings.BIND, "--port", str(settings.PORT)),
        *("--workers", str(settings.WEB_WORKERS), "--blocking-threads", str(THREADS)),
        *("--respawn-failed-workers", "--workers-kill-timeout", "10"),
        *("--log-level", settings.LOG_LEVEL.lower()),
    ]


if __name__ == "__main__":
    os.execv(sys.executable, command())  # noqa: S606 - our own command, no shell
