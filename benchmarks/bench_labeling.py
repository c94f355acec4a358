"""Labelers at once in front of the real web server, on a small project and on a very large one.

The server runs as `make run` runs it. Each labeler is a thread that asks what the ranking page's
scripts ask (`labeling_clients`): `next` is the slate after the open one, with its whole desk;
`submit` a ranking stored, and the next slot opened. First without a pause between two rankings, as
peers were measured; then at the pace of somebody fast. Each measurement has a fresh copy of the
database, of which one that was filled before is taken again.

    python -m benchmarks.bench_labeling            both databases; --small: seconds, and no report
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from benchmarks import report
from benchmarks.labeling_clients import Connection, Labeler
from benchmarks.product import ROOT
from benchmarks.web_server import WebServer, in_folder, told_by, web_server
from tests import servers

SMALL, LARGE = 10_000, 1_000_000
"""Completions."""
LABELERS = (1, 8, 50)
SECONDS = 20.0
PACE = 4.0
"""Seconds of a ranking, where labelers have a pace; people take longer."""
WARM_UP = 2.0
FEWEST = 5
"""Answers of each kind that a measurement waits for, on a machine however slow."""
LESS = {"more_is_better": False}
TOLD = "told.json"
MANAGERS = ("overview/", "prompts/", "people/")
MADE_BY = ("benchmarks/many_rankings.py", "benchmarks/labeling_scene.py", "labeling/models/*.py")
"""What a filled database depends on."""

Key = tuple[int, int]
"""Tasks, labelers."""
PEER: dict[str, dict[Key, float]] = {
    "next p50": {(SMALL, 1): 96, (SMALL, 8): 517, (LARGE, 1): 220, (LARGE, 8): 1772},
    "next p95": {(SMALL, 1): 104, (SMALL, 8): 2016, (LARGE, 1): 264, (LARGE, 8): 4809},
    "submit p50": {(SMALL, 1): 84, (LARGE, 1): 84},
    "submit p95": {(SMALL, 1): 88, (LARGE, 1): 268},
    "labels/s": {(SMALL, 8): 6.9, (LARGE, 8): 2.9},
}
NOTE = (
    "The peer is Label Studio 1.23.2 from PyPI on SQLite with its own server, measured on such a "
    "machine with 10,000 tasks, and, beside our 1,000,000 completions (250,000 slates), with "
    "100,000 tasks. `flat` is the figure at 10,000 completions divided by that at 1,000,000: 1 is "
    "as fast, 0.67 is 1.5 times as slow. On PostgreSQL every commit waits for the disk; SQLite "
    "syncs its log at checkpoints, as the product sets it. Clients and server share the machine: "
    "{client:.0%} of a core went to the clients, at most."
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of one run: seconds of each answer by kind, and rankings a second."""

    times: dict[str, list[float]]
    labels: float
    client: float
    """Cores that the clients took."""
    server: float

    def part(self, kind: str, share: float) -> float:
        """A quantile in milliseconds."""
        ordered = sorted(self.times.get(kind, []))
        if not ordered:
            raise RuntimeError(f"no {kind} was answered: it needs more --seconds")
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A database that is never served itself. `address`: of its PostgreSQL server, or empty.

    workers: processes of the server on a copy.
    """

    folder: Path
    told: dict[str, Any]
    address: str = ""
    workers: int = 1

    @contextmanager
    def served(self) -> Iterator[WebServer]:
        """A server on a copy of it."""
        with tempfile.TemporaryDirectory(prefix="rankloop-load-", dir=self.folder.parent) as name:
            copy = Path(name)
            shutil.copytree(self.folder, copy, dirs_exist_ok=True)
            if not self.address:
                with web_server(copy, workers=self.workers) as server:
                    yield server
                return
            with (
                _database_like(self.address, self.folder.name) as address,
                web_server(copy, database=address, workers=self.workers) as server,
            ):
                yield server


@contextmanager
def _database_like(address: str, template: str) -> Iterator[str]:
    """A copy of a database of PostgreSQL, gone after."""
    with psycopg.connect(address, autocommit=True) as connection:
        how = " STRATEGY FILE_COPY"  # not once more through its log
        connection.execute("CREATE DATABASE copy TEMPLATE " + _identifier(template) + how)
        connection.execute("CHECKPOINT")
    yield urlsplit(address)._replace(path="/copy").geturl()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP DATABASE copy WITH (FORCE)")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def filled(home: Path, completions: int, labelers: int, *, address: str = "") -> Filled:
    """A project of so many completions: taken from `home`, or made there."""
    sources = sorted(file for pattern in MADE_BY for file in ROOT.glob(pattern))
    print_ = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:8]
    kind = "postgresql" if address else "sqlite"
    folder = home / f"{kind}-{completions}-{labelers}-{print_}"
    database = ""
    if address:
        shutil.rmtree(folder, ignore_errors=True)  # its server is a new one
        database = urlsplit(address)._replace(path=f"/{folder.name}").geturl()
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE DATABASE " + _identifier(folder.name))
    if not (folder / TOLD).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        began = time.monotonic()
        print(f"writing {completions:,} completions ({kind})…", flush=True)
        in_folder(folder, "config.prepare", database=database)
        scene = ("benchmarks.labeling_scene", str(completions), str(labelers))
        told = told_by(folder, *scene, database=database)
        if address:
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
        (folder / TOLD).write_text(json.dumps(told))
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return Filled(folder=folder, told=json.loads((folder / TOLD).read_text()), address=address)


def measure(
    project: Filled, labelers: int, seconds: float, *, seconds_each: float = 0.0
) -> Measured:
    """So many labelers on a fresh copy; the first moments don't count."""
    over = threading.Event()
    with project.served() as server:
        people = [
            Labeler(server.port, project.told["slug"], one, over=over, seconds_each=seconds_each)
            for one in project.told["labelers"][:labelers]
        ]
        first = Connection(server.port, project.told["labelers"][0])
        first.get(people[0].base, whole=True)  # what a server does once
        first.close()
        for one in people:
            one.start()
        time.sleep(WARM_UP)
        began, client, cpu = time.perf_counter(), time.process_time(), server.cpu_seconds
        while all(one.is_alive() for one in people):
            time.sleep(0.05)
            answered = min(len(_heard(people, kind, began)) for kind in ("next", "submit"))
            span = time.perf_counter() - began
            if span > seconds and (answered >= FEWEST or span > 20 * seconds):
                break
        until = time.perf_counter()
        client, cpu = time.process_time() - client, server.cpu_seconds - cpu
        over.set()
        for one in people:
            one.join(60)
    refused = [what for one in people for what in one.heard.refused]
    if refused:
        raise RuntimeError(f"the server refused {len(refused)} submissions: {refused[0]!r}")
    times = {kind: _heard(people, kind, began, until) for kind in ("page", "next", "submit")}
    span = until - began
    return Measured(
        times=times,
        labels=len(times.get("submit", [])) / span,
        client=client / span,
        server=cpu / span,
    )


def _heard(
    people: Sequence[Labeler], kind: str, began: float, until: float = math.inf
) -> list[float]:
    """Seconds of each answer that came in that time."""
    return [
        taken
        for one in people
        for at, taken in list(one.heard.times.get(kind, []))
        if began <= at <= until
    ]


def pages(project: Filled, times: int) -> dict[str, float]:
    """The managers' pages: the median of a few loads in milliseconds, after the first."""
    with project.served() as server:
        manager = Connection(server.port, project.told["manager"])
        found = {}
        for page in MANAGERS:
            address = f"/projects/{project.told['slug']}/{page}"
            answers = [manager.get(address, whole=True) for _ in range(times + 1)]
            if any(answer.status != 200 for answer in answers):
                raise RuntimeError(f"{address}: {answers[0].status}")
            taken = statistics.median(answer.seconds for answer in answers[1:])
            found[page.strip("/")] = taken * 1000
    return found


def rows_of(
    database: str, sizes: dict[int, dict[int, Measured]], *, pace: str = ""
) -> list[report.Row]:
    """A row for each figure, and how flat it is from the first size to the last."""
    figures = {
        f"{kind} p{round(share * 100)}": (kind, share)
        for kind in ("next", "submit")
        for share in (0.5, 0.95)
    }
    rows = []
    for labelers in next(iter(sizes.values())):
        who = f"{labelers} labeler{'s' if labelers > 1 else ''}{pace}"
        for name, (kind, share) in figures.items():
            values = {size: by[labelers].part(kind, share) for size, by in sizes.items()}
            rows += [
                report.row(
                    f"{database}: {name}, {who}, {size:,} completions",
                    "ms",
                    round(value, 1),
                    None if pace else PEER[name].get((size, labelers)),
                    **LESS,
                )
                for size, value in values.items()
            ]
            rows += _flat(f"{database}: flat, {name}, {who}", values)
        for size, by in sizes.items():
            peer = None if pace else PEER["labels/s"].get((size, labelers))
            name = f"{database}: {who}, {size:,} completions"
            rows.append(report.row(name, "labels/s", round(by[labelers].labels, 1), peer))
    return rows


def _flat(name: str, values: dict[int, float]) -> list[report.Row]:
    """How the first size compares to the last, where there are two."""
    if len(values) < 2:
        return []
    small, *_others, large = values.values()
    return [report.row(name, "×", round(small / large, 2))]


def main() -> None:
    """Fill, measure, write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[SMALL, LARGE])
    parser.add_argument("--labelers", nargs="+", type=int, default=list(LABELERS))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--pace", type=float, default=PACE, help="seconds a ranking takes then")
    parser.add_argument("--workers", type=int, default=1, help="processes of the web server")
    parser.add_argument("--home", type=Path, default=Path(tempfile.gettempdir()) / "rankloop-load")
    parser.add_argument("--small", action="store_true", help="1,000 completions, 3 s; no report")
    wanted = parser.parse_args()
    if wanted.small:
        wanted.sizes, wanted.seconds, wanted.pace = [1_000], 3.0, 0.5
    rows: list[report.Row] = []
    client = 0.0
    for database in wanted.databases:
        with _server_of(database) as address:
            found = _measured(wanted, address=address)
        rows += rows_of(database, found[0])
        rows += rows_of(database, found[1], pace=f", one ranking each {wanted.pace:g} s")
        rows += [
            report.row(f"{database}: {page}, {wanted.sizes[-1]:,} completions", "ms", round(ms, 1))
            for page, ms in found[2].items()
        ]
        client = max(client, *(one.client for by in found[0].values() for one in by.values()))
    for row in rows:
        print(row)
    if not wanted.small:
        report.write("labeling", rows, note=NOTE.format(client=client))


@contextmanager
def _server_of(database: str) -> Iterator[str]:
    """The address of a PostgreSQL server, or nothing for SQLite."""
    if database == "sqlite":
        yield ""
    else:
        with servers.postgres(durable=True) as address:
            yield address


def _measured(
    wanted: argparse.Namespace, *, address: str
) -> tuple[dict[int, dict[int, Measured]], dict[int, dict[int, Measured]], dict[str, float]]:
    """Without a pause, at a pace, and the managers' pages of the last size."""
    at_once: dict[int, dict[int, Measured]] = {}
    paced: dict[int, dict[int, Measured]] = {}
    for size in wanted.sizes:
        found = filled(wanted.home, size, max(wanted.labelers), address=address)
        project = replace(found, workers=wanted.workers)
        for labelers in wanted.labelers:
            for into, each in ((at_once, 0.0), (paced, wanted.pace)):
                if each and labelers == 1:
                    continue
                one = measure(project, labelers, wanted.seconds, seconds_each=each)
                into.setdefault(size, {})[labelers] = one
                print(
                    f"{size:,} completions, {labelers} labelers, {each:g} s each: "
                    f"next p95 {one.part('next', 0.95):.1f} ms, submit p95 "
                    f"{one.part('submit', 0.95):.1f} ms, {one.labels:.1f} labels/s; cores: "
                    f"{one.client:.2f} clients, {one.server:.2f} server",
                    flush=True,
                )
    return at_once, paced, pages(project, times=5)


if __name__ == "__main__":
    main()
