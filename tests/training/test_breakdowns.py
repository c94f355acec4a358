"""Where a reward model is right: from its run directory to the page of its run."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Project
from tests.factories import make_manager
from tests.training import steps
from training import breakdowns
from training.launcher import run_directory
from training.models import Run, RunBreakdown
from training.views.run_breakdowns import breakdowns_of


def row(
    by: str, name: str, pairs: int = 40, accuracy: float = 0.7, **others: Any
) -> dict[str, Any]:
    return {
        "by": by,
        "name": name,
        "pairs": pairs,
        "accuracy": accuracy,
        "low": accuracy - 0.1,
        "high": accuracy + 0.1,
        "predicted": 0.66,
    } | others


@pytest.fixture
def run(project: Project) -> Run:
    """A reward run whose directory holds a breakdown."""
    steps.start(project)
    claimed = steps.claim()
    folder = run_directory(claimed)
    folder.mkdir(parents=True, exist_ok=True)
    steps.write_rows(
        folder / "breakdown.jsonl",
        [
            row("category", "chat", 30, 0.6),
            row("category", "<b>code</b>", 50),
            row("labeler", "ann"),
            row("gap", "10", 5, 0.9),
            row("gap", "2", 60),
            row("certainty", "60", 20, 0.64),
        ],
    )
    return claimed


def test_its_rows_are_taken_in_with_the_run(run: Run) -> None:
    steps.finish(run)
    assert list(run.breakdown.values_list("by", "name", "pairs")) == [
        ("category", "chat", 30),
        ("category", "<b>code</b>", 50),
        ("labeler", "ann", 40),
        ("gap", "10", 5),
        ("gap", "2", 60),
        ("certainty", "60", 20),
    ]


def test_taken_in_twice_they_are_there_once(run: Run) -> None:
    breakdowns.take_in(run, run_directory(run))
    steps.finish(run)
    assert run.breakdown.count() == 6


def test_a_run_that_left_none_has_none(project: Project) -> None:
    steps.start(project)
    run = steps.claim()
    steps.finish(run)
    assert not RunBreakdown.objects.exists()
    assert breakdowns_of(run) == []


def test_the_page_shows_each_way_in_an_order_of_its_own(run: Run) -> None:
    steps.finish(run)
    shown = {title: [dot.label for dot in dots] for title, _mark, dots in breakdowns_of(run)}
    assert shown == {
        "By how sure it is": ["says 60–70 %"],
        "By category": ["<b>code</b>", "chat"],
        "By how many ranks lie between": ["2 ranks", "10 ranks"],
    }, "one person alone is no comparison"


def test_how_sure_it_is_stands_beside_what_it_says_of_itself(run: Run) -> None:
    steps.finish(run)
    (_title, _mark, (dot,)) = breakdowns_of(run)[0]
    assert (dot.value, dot.reference, dot.note) == (0.64, 0.66, "20 pairs")


def test_the_page_holds_it_as_text(run: Run, client: Client) -> None:
    steps.finish(run)
    client.force_login(make_manager(run.project))
    page = client.get(reverse("run", args=[run.project.slug, run.pk])).content.decode()
    assert "Where it is right" in page
    assert "&lt;b&gt;code&lt;/b&gt;" in page
    assert "<b>code</b>" not in page
