"""Real PostgreSQL and Redis servers for tests, on ports of their own, gone with their starter.

Also a command: `python -m tests.servers COMMAND…` runs COMMAND with RANKLOOP_DATABASE and
RANKLOOP_BROKER set to two fresh servers.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from config import guardian

START_SECONDS = 60


class NoServer(RuntimeError):
    """A server that tests need isn't installed, or doesn't start."""


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def guarded(
    command: list[str], *, user: str | None, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server; it ends with this block, and also when this process is killed."""
    watch = subprocess.Popen(
        [sys.executable, "-I", "-S", guardian.__file__],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    assert watch.stdin is not None
    with log.open("ab") as output:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=user,
            cwd="/",
        )
    watch.stdin.write(f"+ {server.pid} 0\n".encode())
    watch.stdin.flush()
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        watch.communicate(b"end\n")


def wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return once something listens on the port; say why where nothing comes."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise NoServer(f"{server.args!r} does not start: {log.read_text(errors='replace')[-2000:]}")


def postgres_programs() -> Path:
    """The folder with initdb and postgres: Debian's newest, else where PATH has them."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if versions:
        return versions[-1]
    found = shutil.which("initdb")
    if found is None:
        raise NoServer("PostgreSQL is needed for tests: apt-get install postgresql")
    return Path(found).parent


@contextlib.contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """A PostgreSQL server with nothing in it; the address of its database `postgres`.

    durable: a commit waits for the disk, as it does where data matter.
    """
    programs = postgres_programs()
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="rankloop-postgres-") as name:
        folder, port = Path(name), free_port()
        log = folder / "log.txt"
        if user is not None:
            shutil.chown(folder, user)
        data = str(folder / "data")
        options = ["-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
        made = subprocess.run(
            [str(programs / "initdb"), "-D", data, *options],
            user=user,
            cwd="/",
            capture_output=True,
            check=False,
        )
        if made.returncode:
            raise NoServer(f"initdb failed: {made.stderr.decode(errors='replace')}")
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(folder),
            "max_connections": "200",
        } | ({} if durable else {"fsync": "off", "full_page_writes": "off"})
        command = [str(programs / "postgres"), "-D", data, "-p", str(port)]
        command += [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with guarded(command, user=user, log=log) as server:
            wait_for(server, port, log)
            wait_until_ready(f"postgres://postgres@127.0.0.1:{port}/postgres")
            yield f"postgres://postgres@127.0.0.1:{port}/postgres"


def wait_until_ready(url: str) -> None:
    """Return once PostgreSQL answers a query: it listens a moment before it serves."""
    import psycopg

    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with psycopg.connect(url, connect_timeout=5) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def redis_program() -> str:
    """Debian's redis-server, else the Valkey server that the product embeds."""
    found = shutil.which("redis-server")
    if found is not None:
        return found
    from config.broker import server_program

    return str(server_program())


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """A Redis server with nothing in it; its address."""
    with tempfile.TemporaryDirectory(prefix="rankloop-redis-") as name:
        port = free_port()
        log = Path(name) / "log.txt"
        command = [redis_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        with guarded([*command, "--dir", name], user=None, log=log) as server:
            wait_for(server, port, log)
            yield f"redis://127.0.0.1:{port}/0"


def main(command: list[str]) -> int:
    """Run the command beside both servers and return its exit code."""
    with postgres() as database, redis() as broker:
        environment = os.environ | {"RANKLOOP_DATABASE": database, "RANKLOOP_BROKER": broker}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
