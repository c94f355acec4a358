"""A small project is counted as it stands; of a large one counts are kept for a minute."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling import tallies
from labeling.models import Project, Tally
from labeling.progress import progress_of
from labeling.tallies import keep_due_tallies, tallies_of
from tests.factories import make_prompt, make_ranking, make_slate

pytestmark = pytest.mark.django_db

OPEN = Tally.Measure.OPEN


@pytest.fixture
def large(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """More slots than are counted while somebody waits."""
    monkeypatch.setattr(tallies, "LARGE", 2)
    for _ in range(3):
        make_slate(project)
    return project


def aged(minutes: float) -> None:
    """What is kept was counted so long ago."""
    Tally.objects.update(counted_at=timezone.now() - timedelta(minutes=minutes))


def test_a_small_project_is_counted_when_it_is_looked_at(project: Project) -> None:
    make_slate(project, prompt=make_prompt(project, category="chat"))
    assert keep_due_tallies() == 0
    assert tallies_of(project).by_key(OPEN) == {"chat": 1}
    make_slate(project)
    found = tallies_of(project)
    assert (found.by_key(OPEN), found.kept) == ({"chat": 1, "": 1}, False)
    assert not Tally.objects.exists()


def test_what_is_kept_of_a_large_one_says_of_when_it_is(large: Project) -> None:
    assert keep_due_tallies() == 1
    make_slate(large)
    found = progress_of(large)
    assert (found.prompts, found.kept) == (3, True)
    assert abs(found.counted_at - timezone.now()) < timedelta(seconds=60)


def test_kept_counts_are_those_of_a_count(large: Project) -> None:
    make_ranking(large)
    before = progress_of(large)
    keep_due_tallies()
    after = progress_of(large)
    assert after.kept
    for name in ("prompts", "prompts_by_split", "completions", "rankings", "newest_ranking_at"):
        assert getattr(after, name) == getattr(before, name)
    assert tallies_of(large).by_key(Tally.Measure.DONE) == {"": 1}


def test_it_is_counted_anew_after_a_minute_where_something_came_in(large: Project) -> None:
    keep_due_tallies()
    make_slate(large)
    assert keep_due_tallies() == 0
    aged(2)
    assert keep_due_tallies() == 1
    assert tallies_of(large).by_key(OPEN) == {"": 4}


def test_where_nothing_came_in_it_is_counted_seldom(large: Project) -> None:
    keep_due_tallies()
    aged(14)
    assert keep_due_tallies() == 0
    aged(16)
    assert keep_due_tallies() == 1
