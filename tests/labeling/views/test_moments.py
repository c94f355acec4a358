"""Dates and times: in the language of the page, with their zone, for scripts to tell by a clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.urls import reverse
from django.utils import timezone, translation

from labeling.assignments import begin_break
from labeling.leasing import lease_next
from labeling.templatetags.moments import day, moment
from tests.factories import make_labeler, make_project, make_slate
from tests.labeling.views.clients import as_user

NOON = datetime(2026, 11, 27, 12, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "shown", "date"),
    [
        ("en", "Nov. 27, 2026, 12:05 p.m. UTC", "Nov. 27, 2026"),
        ("zh-hans", "2026年11月27日 12:05 UTC", "2026年11月27日"),
    ],
)
def test_it_is_written_as_the_language_does(language, shown, date):
    with translation.override(language):
        assert moment(NOON) == f'<time datetime="2026-11-27T12:05:00+00:00">{shown}</time>'
        assert day(NOON) == f'<time datetime="2026-11-27T12:05:00+00:00" data-day>{date}</time>'


def test_it_names_the_zone_that_it_is_told_in():
    with timezone.override("Asia/Shanghai"), translation.override("en"):
        assert "8:05 p.m. CST" in moment(NOON)


def test_what_never_happened_is_empty():
    assert moment(None) == day(None) == ""


@pytest.mark.django_db
def test_the_end_of_a_break_is_told_by_the_readers_clock():
    project = make_project()
    labeler = make_labeler(project)
    make_slate(project)
    held = lease_next(project=project, labeler=labeler)
    begin_break(assignment=held, labeler=labeler, token=held.lease_token)
    held.refresh_from_db()
    page = as_user(labeler).get(reverse("rank", args=[project.slug])).content.decode()
    ends = held.break_ends_at.isoformat(timespec="seconds")
    assert f'kept for you until <time datetime="{ends}">' in page
