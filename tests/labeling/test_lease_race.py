"""Eight processes lease and submit at once: nothing is given out twice, nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]

Lease = tuple[str, int, int]
"""Labeler, slot, ranking."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment that puts a process onto an empty database of its own."""
    environment = dict(os.environ) | {"RANKLOOP_DATA": str(tmp_path)}
    environment.pop("RANKLOOP_DATABASE", None)
    if request.param == "postgresql":
        environment["RANKLOOP_DATABASE"] = request.getfixturevalue("postgres_url")
    return environment


def racer(environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.labeling.lease_racer", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def race(
    environment: Mapping[str, str],
    slates: int,
    labelers: list[str],
    *,
    overlap: int = 1,
    most_overlap: int = 0,
) -> list[Lease]:
    """One process for each name (a name twice: two tabs of that labeler); what they got."""
    numbers = (slates, len(set(labelers)), overlap, most_overlap)
    filled = racer(environment, "prepare", *map(str, numbers))
    filled.communicate()
    assert filled.returncode == 0
    racers = [racer(environment, "rank", name) for name in labelers]
    for process in racers:
        assert process.stdout.readline() == "ready\n"
    for process in racers:
        process.stdin.write("go\n")
        process.stdin.flush()
    leases = []
    for name, process in zip(labelers, racers, strict=True):
        output, _nothing = process.communicate()
        assert process.returncode == 0
        leases += [(name, *map(int, line.split())) for line in output.splitlines()]
    return leases


def test_two_thousand_leases_are_given_out_once_each(database):
    leases = race(database, 2_000, [f"labeler{number}" for number in range(8)])
    assert len(leases) == 2_000
    assert len({slot for _name, slot, _ranking in leases}) == 2_000
    assert len({ranking for _name, _slot, ranking in leases}) == 2_000


def test_two_tabs_of_each_labeler_double_nothing(database):
    leases = race(database, 300, [f"labeler{number // 2}" for number in range(8)])
    by_slot: dict[int, set[tuple[str, int]]] = {}
    for name, slot, ranking in leases:
        by_slot.setdefault(slot, set()).add((name, ranking))
    assert len(by_slot) == 300
    assert all(len(found) == 1 for found in by_slot.values())


def test_slates_that_are_disputed_grow_to_the_limit_and_no_further(database):
    """Eight labelers, four of each opinion, on the same few slates, all at once."""
    leases = race(
        database,
        60,
        [f"labeler{number}" for number in range(8)],
        overlap=2,
        most_overlap=5,
    )
    looked_at = racer(database, "look")
    output, _nothing = looked_at.communicate()
    slots = [line.split() for line in output.splitlines()]
    by_slate: dict[str, list[tuple[int, str, str]]] = {}
    for slate, slot, labeler, agrees in slots:
        by_slate.setdefault(slate, []).append((int(slot), labeler, agrees))
    assert len(by_slate) == 60
    for found in by_slate.values():
        assert sorted(slot for slot, _, _ in found) == list(range(len(found)))
        assert len({labeler for _, labeler, _ in found}) == len(found)
        opinions = [agrees for _, _, agrees in sorted(found)]
        assert len(found) == (2 if opinions[0] == opinions[1] else 5)
    assert len(leases) == len(slots)
    assert max(map(len, by_slate.values())) == 5
