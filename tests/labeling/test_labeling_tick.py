"""The tick of labeling: reports and tallies that are due, each for itself."""

from __future__ import annotations

from typing import Any

import pytest
from celery import current_app

from labeling import quality_reports, tallies, tasks
from labeling.models import Project, Tally
from tests.factories import make_slate

pytestmark = pytest.mark.django_db


@pytest.fixture
def large(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose slots are too many to be counted by a page."""
    monkeypatch.setattr(tallies, "LARGE", 0)
    make_slate(project)
    return project


def test_it_keeps_the_tallies_of_large_projects(large: Project) -> None:
    tasks.tick()
    assert Tally.objects.filter(project=large).exists()


def test_a_report_that_cannot_be_asked_for_keeps_no_tally_from_being_counted(
    large: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any) -> None:
        raise OSError("no space left")

    broken.__name__ = "ask_for_due_reports"
    monkeypatch.setattr(quality_reports, "ask_for_due_reports", broken)
    tasks.tick()
    assert Tally.objects.filter(project=large).exists()


def test_beat_rings_it(settings: Any) -> None:
    rung = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert "labeling.tasks.tick" in rung
    assert "labeling.tasks.tick" in current_app.tasks
