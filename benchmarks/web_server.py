"""The product's web server alone, started as `make run` starts it, on a data folder of its own.

Knows the commands and /proc, nothing of the product's code.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.product import ROOT, free_port

START_SECONDS = 60
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class WebServer:
    """One that answers. `workers`: the processes that serve."""

    port: int
    process: subprocess.Popen[bytes]
    workers: tuple[int, ...]

    @property
    def worker(self) -> int:
        """The one that serves, where there is only one."""
        (only,) = self.workers
        return only

    @property
    def cpu_seconds(self) -> float:
        """What the workers have used so far."""
        return sum(_ticks_of(pid) for pid in self.workers) / TICKS


def environment(
    folder: Path,
    port: int = 8000,
    *,
    database: str = "",
    debug: bool = False,
    workers: int = 1,
) -> dict[str, str]:
    """The product's settings for a folder of its own, and nothing of this process's."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RANKLOOP_")},
        "RANKLOOP_ENV_FILE": os.devnull,
        "RANKLOOP_DATA": str(folder),
        "RANKLOOP_DATABASE": database,
        "RANKLOOP_PORT": str(port),
        "RANKLOOP_WEB_WORKERS": str(workers),
        "RANKLOOP_BROKER": "memory://",
        "RANKLOOP_DEBUG": str(debug).lower(),
        "RANKLOOP_DEMO": "false",
        "RANKLOOP_LOG_LEVEL": "WARNING",
        "MALLOC_ARENA_MAX": "2",  # as config.serve has it
    }


@contextmanager
def web_server(
    folder: Path,
    *,
    database: str = "",
    debug: bool = False,
    command: Sequence[str] = (),
    port: int | None = None,
    workers: int = 1,
) -> Iterator[WebServer]:
    """A fresh server of so many processes.

    command: another one, in which {port} stands for the port.
    """
    port = port or free_port()
    chosen = [part.format(port=port) for part in command] or [sys.executable, "-m", "config.web"]
    settings = environment(folder, port, database=database, debug=debug, workers=workers)
    process = subprocess.Popen(chosen, cwd=ROOT, env=settings)
    try:
        _wait_for(port)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        serving = [int(pid) for pid in children if "resource_tracker" not in _command_of(pid)]
        serving.sort(key=lambda pid: memory_of(pid, "VmRSS"))
        yield WebServer(port=port, process=process, workers=tuple(serving[-workers:]))
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def in_folder(folder: Path, *module: str, database: str = "", debug: bool = False) -> str:
    """Run `python -m MODULE ARGUMENT…` with a folder's settings; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *module],
        cwd=ROOT,
        env=environment(folder, database=database, debug=debug),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def told_by(folder: Path, *module: str, database: str = "", debug: bool = False) -> Any:
    """The JSON that a module printed last."""
    printed = in_folder(folder, *module, database=database, debug=debug)
    return json.loads(printed.splitlines()[-1])


def memory_of(pid: int, field: str) -> int:
    """A field of /proc/<pid>/status in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} for process {pid}")


def _ticks_of(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _command_of(pid: str) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/health/")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.2)
        else:
            return
        finally:
            connection.close()
    raise RuntimeError("the server did not start")
