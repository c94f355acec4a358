"""The whole product on one machine: `make run`, or `python -m config.serve`.

Prepares the data folder, then starts and watches the embedded broker, the web server, the workers
and beat (supervisor.py), prints the address and a one-time sign-in link, and stops all of them in
order on Ctrl-C. Imports no Django app and no torch itself.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import time
from functools import partial
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config import broker, guardian, health
from config.supervisor import NotReadyError, Service, Supervisor, python

FORMER_START_SECONDS = 75.0
"""How long what a killed start left may take to end: its guardian's two stages, and some more."""
EXIT_REFUSED = 2


class RefusedError(Exception):
    """The start can't go on; the message says why and what to do."""


def lock_data(run: Path, *, address: str) -> int:
    """Take the data folder for this start; a descriptor to be kept open. Raises RefusedError."""
    path = run / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + FORMER_START_SECONDS
    waiting = False
    while not _try_lock(descriptor):
        holder = _number(path)
        if holder is None or guardian.is_alive(holder):
            raise RefusedError(
                f"Rankloop is running already on {run.parent} (process {holder}); it answers at "
                f"{address}. Stop it, or set RANKLOOP_DATA to another folder and RANKLOOP_PORT to "
                "another port."
            )
        if time.monotonic() > deadline:
            raise RefusedError(f"processes of a former start still hold {path}; end them first")
        if not waiting:
            waiting = True
            sys.stdout.write("A former start was killed; waiting until its processes are gone.\n")
            sys.stdout.flush()
        time.sleep(0.2)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except ValueError:
        return None


def check_port(bind: str, port: int) -> None:
    """Raise RefusedError where the web server could not listen."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            raise RefusedError(_why_not(error, bind, port)) from None


def _why_not(error: OSError, bind: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"port {port} of {bind} is taken by another program; stop that one, or set "
                "RANKLOOP_PORT to another number"
            )
        case errno.EACCES:
            return f"this user may not listen on port {port}; set RANKLOOP_PORT to one above 1023"
        case _:
            reason = error.strerror or str(error)
            return f"RANKLOOP_BIND is {bind!r}: nothing can listen there ({reason})"


def services(link_file: Path) -> list[Service]:
    """What runs, in the order in which it starts."""
    from config import settings  # noqa: PLC0415 - main() reports what is wrong with them
    from training.default_model import default_folder  # noqa: PLC0415 - as above

    host = health.served_host(settings.HOSTS)
    is_up = partial(health.answers, bind=settings.BIND, port=settings.PORT, host=host)
    prepare = python("config.prepare", "--link-file", str(link_file))
    beat = python("celery", "--quiet", "-A", "config", "beat", "--loglevel", "WARNING")
    # A manifest is written last: the model is whole. Asking the trainer would take it seconds.
    has_model = bool(settings.MODEL) or (default_folder() / "manifest.json").is_file()
    return [
        *([] if settings.BROKER else [embedded_broker(settings.BROKER_SOCKET, settings.DATA_DIR)]),
        *([] if has_model else [default_model(default_folder())]),
        Service(name="prepare", command=prepare, stage=0, once=True),
        Service(
            name="web",
            command=python("config.web"),
            stage=1,
            ready=is_up,
            ignore=["which seems quite high"],  # threads mostly wait for the database
        ),
        *(
            Service(name=queue, command=python("config.worker", queue), stage=2)
            for queue in ("default", "sampling", "training")
        ),
        Service(name="beat", command=beat, stage=2),
    ]


def embedded_broker(socket_path: Path, data: Path) -> Service:
    """The Valkey server."""
    return Service(
        name="broker",
        command=broker.command(socket_path, data),
        stage=0,
        ready=partial(broker.answers, socket_path),
        # For servers that save by forking; this one appends to its log of a few kilobytes.
        ignore=["WARNING Memory overcommit must be enabled"],
    )


def default_model(folder: Path) -> Service:
    """Half a minute of work, beside the start of the web; only the workers wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = python("training.rlhf.prepare_default_model", str(folder))
    return Service(name="model", command=command, stage=0, before=2, once=True)


def greeting(address: str, link: str) -> str:
    """What a person needs to begin."""
    lines = [
        f"Rankloop is ready: {address}",
        f"Sign in as the owner (this link works once, within the hour): {link}",
        "Ctrl-C stops everything; `make run` goes on where it was.",
    ]
    return "\n".join(["", *(f"    {line}" for line in lines), ""])


def serve() -> None:
    """Run until a signal. Raises RefusedError, NotReadyError, ImproperlyConfigured."""
    from config import settings  # noqa: PLC0415 - main() reports what is wrong with them
    from config.address import public_address  # noqa: PLC0415 - as above

    run = settings.DATA_DIR / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    address = public_address()
    lock = lock_data(run, address=address)
    check_port(settings.BIND, settings.PORT)
    broker.prepare_folder(settings.BROKER_SOCKET)
    link_file = run / "sign-in-link"

    def on_ready(name: str) -> None:
        if name == "web":
            sys.stdout.write(greeting(address, link_file.read_text()) + "\n")
            sys.stdout.flush()
            link_file.unlink()

    # Fewer arenas keep the many-threaded processes small.
    os.environ |= {"PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2", "TQDM_DISABLE": "1"}
    supervisor = Supervisor(services(link_file), lock=lock, on_ready=on_ready)
    try:
        supervisor.run()
        supervisor.say("stopping")
    finally:
        supervisor.stop()
    supervisor.say("stopped")


def main() -> int:
    """Serve; the exit code. Each refusal is a sentence, not a traceback."""
    try:
        serve()
    except (RefusedError, ImproperlyConfigured, broker.UnsafeFolder) as error:
        sys.stderr.write(f"Rankloop can't start: {error}\n")
        return EXIT_REFUSED
    except NotReadyError as error:
        sys.stderr.write(f"Rankloop stopped, since the start failed: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
