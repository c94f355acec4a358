"""A Celery worker for one queue: `python -m config.worker default|sampling|training`.

Threads, not processes: a task only watches rows and starts processes of the trainer. With
`--ping` it asks the queue's worker on this machine whether it is alive, and exits with 0 or 1.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import warnings

import django
from celery.exceptions import SecurityWarning

from config.celery import app

QUEUES = ("default", "sampling", "training")
DEFAULT_THREADS = 2
PING_SECONDS = 10.0


def node(queue: str) -> str:
    """The worker's name."""
    return f"{queue}@{socket.gethostname()}"


def threads(queue: str) -> int:
    """How many tasks at once. One sampler per machine; one run per device."""
    from training.devices import for_training  # noqa: PLC0415 - Django has to be set up first

    match queue:
        case "sampling":
            return 1
        case "training":
            return len(for_training())
        case _:
            return DEFAULT_THREADS


def arguments(queue: str, log_level: str) -> list[str]:
    """What `celery worker` is told."""
    return [
        "--quiet",
        "worker",
        *("--hostname", node(queue), "--queues", queue),
        *("--pool", "threads", "--concurrency", str(threads(queue))),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        *("--loglevel", log_level),
    ]


def is_alive(queue: str) -> bool:
    """Whether the worker of this queue on this machine answers."""
    replies = app.control.inspect(destination=[node(queue)], timeout=PING_SECONDS).ping()
    return bool(replies)


def main() -> None:
    """Work until told to stop, or ask."""
    parser = argparse.ArgumentParser(prog="python -m config.worker", description=__doc__)
    parser.add_argument("queue", choices=QUEUES)
    parser.add_argument("--ping", action="store_true", help="ask whether it is alive")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    if options.ping:
        sys.exit(0 if is_alive(options.queue) else 1)
    from django.conf import settings  # noqa: PLC0415 - as above

    # Root is a danger where messages are pickled; here they are JSON.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app.worker_main(arguments(options.queue, settings.LOG_LEVEL))


if __name__ == "__main__":
    main()
