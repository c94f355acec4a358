"""An expert ranks by keys in a real browser: how many keys it takes, and how long the page does.

`python -m benchmarks.keystrokes TIMES`, run with RANKLOOP_DATA set, makes the projects that `rank`
then works in, and prints, as JSON, what it needs to know of them.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Page

from benchmarks.browsers import signed_in_context

LETTERS = "abcdefghi"
SETTLED = 300
"""Milliseconds: the slate fetched ahead is taken up by the page."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is ranked, and what is said beside the ranks."""

    name: str
    k: int
    ties: int = 0
    flagged: int = 0
    """Completions with a flag."""


WORK = (
    Work(name="a ranking of 4", k=4),
    Work(name="a ranking of 4 with a tie", k=4, ties=1),
    Work(name="a ranking of 4, two of them flagged", k=4, flagged=2),
    Work(name="a ranking of 9", k=9),
)


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """`keys` of one ranking; `milliseconds`, the median, from its first key to the next slate."""

    keys: int
    milliseconds: float


def keys_of(work: Work, rng: random.Random) -> list[str]:
    """As an expert presses them: places in a random order, flags with each one's placing."""
    letters = list(LETTERS[: work.k])
    rng.shuffle(letters)
    keys = []
    for place, letter in enumerate(letters):
        if 0 < place <= work.ties:
            keys.append("=")
        keys.append(letter)
        if place < work.flagged:
            keys += ["f", letter, "1"]
    return [*keys, "Enter"]


def rank(browser: Browser, port: int, told: dict[str, Any], times: int) -> dict[str, Ranked]:
    """Each kind of work so many times, in one window."""
    found = {}
    for work in WORK:
        project = told[work.name]
        rng = random.Random(work.name)
        with signed_in_context(browser, port, project["session"]) as context:
            page = context.new_page()
            with page.expect_response("**/rank/ahead/"):
                page.goto(f"/projects/{project['slug']}/rank/")
            taken = [_one(page, keys_of(work, rng)) for _ in range(times)]
        found[work.name] = Ranked(
            keys=len(keys_of(work, rng)), milliseconds=statistics.median(taken)
        )
    return found


def _one(page: Page, keys: list[str]) -> float:
    """Milliseconds of one ranking; then the slate after the next is waited for."""
    slate = page.locator("#assignment").get_attribute("data-slate")
    began = time.perf_counter()
    for key in keys[:-1]:
        page.keyboard.press(key)
    with page.expect_response("**/rank/ahead/"):
        page.keyboard.press(keys[-1])
        page.wait_for_function(
            "slate => document.getElementById('assignment').dataset.slate !== slate", arg=slate
        )
        taken = (time.perf_counter() - began) * 1000
    page.wait_for_timeout(SETTLED)
    return taken


def main(times: int) -> None:
    """A project of its own for each kind of work, with a labeler signed in."""
    from benchmarks import django_ready  # noqa: F401, PLC0415 - first: models need it
    from benchmarks.labeling_scene import session_of  # noqa: PLC0415 - needs Django
    from tests import factories  # noqa: PLC0415 - needs Django

    told = {}
    for work in WORK:
        project = factories.make_project(name=work.name, k=work.k)
        for _ in range(times + 2):
            factories.make_slate(project)
        labeler = factories.make_labeler(project)
        told[work.name] = {"slug": project.slug, "session": session_of(labeler)}
    print(json.dumps(told))


if __name__ == "__main__":
    main(int(sys.argv[1]))
