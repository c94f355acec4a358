"""Who did how much in which week, as a table and as CSV."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from labeling.formats.cells import plain_cell
from labeling.models import Project, User
from labeling.payments import monday_of, payments, week_name, weeks_of
from labeling.people import remove_member
from labeling.work import count_work
from tests.factories import make_labeler, make_manager
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db


def did(project: Project, who: User, day: date, **what: float) -> None:
    count_work(project=project, labeler=who, day=day, **what)  # type: ignore[arg-type]


def test_days_add_up_to_iso_weeks_across_the_year(project, ann) -> None:
    did(project, ann, date(2026, 12, 31), rankings=3, seconds=1800.0)
    did(project, ann, date(2027, 1, 3), rankings=4, corrections=1, seconds=1800.0)
    did(project, ann, date(2027, 1, 4), rankings=9, demonstrations=2, prompts=1)
    found = payments(project=project, first=date(2026, 12, 28), last=date(2027, 1, 4))
    assert [(row.week, row.rankings, row.corrections, row.hours) for row in found] == [
        ("2027-W01", 9, 0, 0.0),
        ("2026-W53", 7, 1, 1.0),
    ]
    assert (found[0].demonstrations, found[0].prompts) == (2, 1)


def test_only_the_weeks_asked_for_and_only_this_project(project, ann) -> None:
    other = make_manager(project)
    for day in (date(2026, 11, 1), date(2026, 11, 2), date(2026, 11, 8), date(2026, 11, 9)):
        did(project, ann, day, rankings=1)
    found = payments(project=project, first=date(2026, 11, 2), last=date(2026, 11, 2))
    assert [(row.week, row.rankings) for row in found] == [("2026-W45", 2)]
    assert other.username not in {row.username for row in found}


def test_categories_are_added_up_and_those_who_left_are_paid(project, ann) -> None:
    day = timezone.localdate()
    did(project, ann, day, category="chat", rankings=1)
    did(project, ann, day, category="open QA", rankings=2)
    remove_member(project=project, user=ann)
    monday = day - timedelta(days=day.weekday())
    assert [row.rankings for row in payments(project=project, first=monday, last=monday)] == [3]


def test_weeks_reach_back_to_the_first_work(project, ann) -> None:
    today = timezone.localdate()
    assert len(weeks_of(project)) == 1
    did(project, ann, today - timedelta(days=21), rankings=1)
    assert len(weeks_of(project)) == 4


@pytest.mark.parametrize("name", ["", "2026", "2026-W60", "2026-W", "x-W01", "99999-W01"])
def test_what_is_no_week_is_none(name: str) -> None:
    assert monday_of(name) is None
    assert week_name(date(2026, 11, 27)) == "2026-W48"
    assert monday_of("2026-W48") == date(2026, 11, 23)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "＝"])
def test_no_cell_is_a_formula(start: str) -> None:
    assert plain_cell(f'{start}HYPERLINK("x")').startswith("'")
    assert plain_cell("Ann-Marie = 1") == "Ann-Marie = 1"


class TestPages:
    def test_the_csv_names_people_and_runs_nothing(self, project) -> None:
        eve = make_labeler(project, "eve")
        eve.name = '=cmd|"/c calc"!A1'
        eve.save()
        today = timezone.localdate()
        did(project, eve, today, rankings=5, seconds=5400.0)
        answer = as_user(make_manager(project)).get(reverse("payments.csv", args=[project.slug]))
        rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
        assert rows[0]["name"] == '\'=cmd|"/c calc"!A1'
        assert (rows[0]["username"], rows[0]["rankings"]) == ("eve", "5")
        assert (rows[0]["week"], rows[0]["active_hours"]) == (week_name(today), "1.50")
        assert "attachment" in answer["Content-Disposition"]

    def test_the_page_shows_the_weeks_that_are_asked_for(self, project, ann) -> None:
        did(project, ann, timezone.localdate() - timedelta(weeks=20), rankings=77)
        did(project, ann, timezone.localdate(), rankings=88)
        client, address = (
            as_user(make_manager(project)),
            reverse("payment-list", args=[project.slug]),
        )
        page = client.get(address).content.decode()
        assert "88" in page
        assert ">77<" not in page
        first = week_name(timezone.localdate() - timedelta(weeks=20))
        page = client.get(address, {"first": first, "last": "nonsense"}).content.decode()
        assert ">77<" in page

    def test_the_number_of_queries_is_fixed(self, project) -> None:
        client, address = (
            as_user(make_manager(project)),
            reverse("payment-list", args=[project.slug]),
        )
        counts = []
        for _ in range(2):
            for _ in range(3):
                did(project, make_labeler(project), timezone.localdate(), rankings=1)
            with CaptureQueriesContext(connection) as captured:
                client.get(address)
            counts.append(len(captured))
        assert counts[0] == counts[1]
