"""Export 200,000 pairs from a real database file through the real web server, and the plain way.

Each way gets a fresh server process of one worker. Pairs a second are the median of a few exports.
Memory is the worker's: its peak resident size (VmHWM), and the private part of it (RssAnon, looked
at every 20 ms). The rest of the resident size is the program and the database file, which SQLite
maps up to 32 MiB of: the system's cache, given back when it is needed.

    python -m benchmarks.bench_export
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks import report
from benchmarks.web_server import memory_of, told_by, web_server

PAIRS = 200_000
FEW = 20_000
TIMES = 3
PIECE = 256 * 1024
LESS = {"more_is_better": False}


@dataclass(frozen=True, kw_only=True)
class Export:
    """What one way did. Seconds, bytes of memory."""

    rows: int
    seconds: float
    first_byte: float
    resident: int
    """At its peak."""
    private: int
    """At its peak."""
    grown: int
    """Private memory at its peak, less what it was before the first export."""
    digest: str


PLAIN = (
    *(sys.executable, "-m", "granian", "benchmarks.plain_export:application"),
    *("--interface", "wsgi", "--no-ws", "--host", "127.0.0.1", "--port", "{port}"),
    *("--workers", "1", "--blocking-threads", "8", "--log-level", "warning"),
)


def fetch(port: int, path: str, token: str) -> tuple[int, float, float, str]:
    """Rows, seconds, seconds to the first byte, and the sum of the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    rows, digest = 0, hashlib.sha256()
    began = time.perf_counter()
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{path}: {answer.status} {answer.read(500)!r}")
    piece = answer.read1(PIECE)
    first_byte = time.perf_counter() - began
    while piece:
        rows += piece.count(b"\n")
        digest.update(piece)
        piece = answer.read1(PIECE)
    seconds = time.perf_counter() - began
    connection.close()
    return rows, seconds, first_byte, digest.hexdigest()


class PrivateMemory:
    """Watches a process's private memory while the block runs; `peak` in bytes."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak = self.before = memory_of(pid, "RssAnon")
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, memory_of(self.pid, "RssAnon"))

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._watch.join()


def measure(folder: Path, path: str, token: str, *, plain: bool, times: int) -> Export:
    """Export `times` times from a fresh server."""
    with web_server(folder, debug=True, command=PLAIN if plain else ()) as server:
        with PrivateMemory(server.worker) as private:
            taken = [fetch(server.port, path, token) for _ in range(times)]
        resident = memory_of(server.worker, "VmHWM")
    if len({(rows, digest) for rows, _seconds, _first, digest in taken}) != 1:
        raise RuntimeError("the same export gave different bytes")
    rows, _seconds, _first, digest = taken[0]
    return Export(
        rows=rows,
        seconds=statistics.median(seconds for _rows, seconds, _first, _digest in taken),
        first_byte=statistics.median(first for _rows, _seconds, first, _digest in taken),
        resident=resident,
        private=private.peak,
        grown=private.peak - private.before,
        digest=digest,
    )


def _speed(export: Export) -> float:
    return round(export.rows / export.seconds, 1)


def _mib(size: int) -> float:
    return round(size / 2**20, 1)


def main() -> None:
    """Fill, measure both ways, write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--times", type=int, default=TIMES)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rankloop-export-") as name:
        folder = Path(name)
        print(f"writing {wanted.pairs:,} pairs…", flush=True)
        sizes = (f"many={wanted.pairs}", f"few={FEW}")
        token = told_by(folder, "benchmarks.many_rankings", *sizes, debug=True)["token"]
        print("exporting…", flush=True)
        address = "/api/v1/projects/{}/preferences.jsonl".format
        ours = measure(folder, address("many"), token, plain=False, times=wanted.times)
        few = measure(folder, address("few"), token, plain=False, times=wanted.times)
        plain = measure(folder, "/many", token, plain=True, times=1)
    if (ours.rows, ours.digest) != (plain.rows, plain.digest):
        raise RuntimeError("the two ways gave different bytes; there is nothing to compare")
    many, little = f"{ours.rows:,} pairs", f"{few.rows:,} pairs"
    rows = [
        report.row(f"export of {many}", "pairs/s", _speed(ours), _speed(plain)),
        report.row("time to its first byte", "s", ours.first_byte, plain.first_byte, **LESS),
        report.row(
            "peak resident memory of the web process",
            "MiB",
            _mib(ours.resident),
            _mib(plain.resident),
            **LESS,
        ),
        report.row("of that, private", "MiB", _mib(ours.private), _mib(plain.private), **LESS),
        report.row(
            f"private memory grown by exporting {many}",
            "MiB",
            _mib(ours.grown),
            _mib(plain.grown),
            **LESS,
        ),
        report.row(f"private memory grown by exporting {little}", "MiB", _mib(few.grown)),
    ]
    report.write("export", rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
