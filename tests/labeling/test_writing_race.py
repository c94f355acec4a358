"""Four processes take prompts to write for at once: no prompt is given to two people."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]


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
        [sys.executable, "-m", "tests.labeling.writing_racer", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def race(
    environment: Mapping[str, str], prompts: int, labelers: list[str]
) -> list[tuple[str, int, int]]:
    """One process for each name (a name twice: two tabs); labeler, prompt, demonstration."""
    filled = racer(environment, "prepare", str(prompts), str(len(set(labelers))))
    filled.communicate()
    assert filled.returncode == 0
    racers = [racer(environment, "write", name) for name in labelers]
    for process in racers:
        assert process.stdout.readline() == "ready\n"
    for process in racers:
        process.stdin.write("go\n")
        process.stdin.flush()
    written = []
    for name, process in zip(labelers, racers, strict=True):
        output, _nothing = process.communicate()
        assert process.returncode == 0
        written += [(name, *map(int, line.split())) for line in output.splitlines()]
    return written


def test_a_hundred_prompts_are_given_out_once_each(database):
    written = race(database, 100, [f"labeler{number}" for number in range(4)])
    assert len(written) == 100
    assert len({prompt for _name, prompt, _made in written}) == 100


def test_two_tabs_of_each_labeler_double_nothing(database):
    written = race(database, 30, [f"labeler{number // 2}" for number in range(4)])
    by_prompt: dict[int, set[tuple[str, int]]] = {}
    for name, prompt, made in written:
        by_prompt.setdefault(prompt, set()).add((name, made))
    assert len(by_prompt) == 30
    assert all(len(found) == 1 for found in by_prompt.values())
