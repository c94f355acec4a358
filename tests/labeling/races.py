"""Processes that do the same thing at once, each a labeler's, on a database of their own.

A racer is a module with modes, run as `python -m MODULE MODE …`: `prepare` fills an empty database,
another mode does the work of the labeler it is given and prints a line of numbers for each thing it
got. Knows nothing of what is raced for.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
READY = "ready\n"


def wait_for_the_others() -> None:
    """In a racer: say that all is loaded, and wait for the word, so that all begin together."""
    print(READY, end="", flush=True)
    sys.stdin.readline()


def racer(module: str, environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    """A process of `module`, begun with `arguments`."""
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.labeling.{module}", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def output_of(module: str, environment: Mapping[str, str], *arguments: str) -> list[str]:
    """The lines of a process that ran to its end."""
    process = racer(module, environment, *arguments)
    output, _nothing = process.communicate()
    assert process.returncode == 0
    return output.splitlines()


def race(
    module: str, mode: str, environment: Mapping[str, str], labelers: Sequence[str]
) -> list[tuple[str, int, int]]:
    """One process for each name (a name twice: two tabs of that labeler); what each got."""
    racers = [racer(module, environment, mode, name) for name in labelers]
    for process in racers:
        assert process.stdout is not None
        assert process.stdout.readline() == READY
    for process in racers:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    got = []
    for name, process in zip(labelers, racers, strict=True):
        output, _nothing = process.communicate()
        assert process.returncode == 0
        for line in output.splitlines():
            first, second = map(int, line.split())
            got.append((name, first, second))
    return got
