"""The quality page: what it shows, to whom and by which name; the same as CSV."""

from __future__ import annotations

import csv
import io

import pytest
from django.urls import reverse
from django.utils import timezone

from labeling.models import QualityFigure, QualityReport, Role
from labeling.quality_reports import report_under_way
from tests.factories import make_labeler, make_member
from tests.labeling.views.clients import as_user


def figure(report, measure, value, **fields):
    return QualityFigure.objects.create(
        report=report,
        measure=measure,
        value=value,
        **{"low": value - 0.05, "high": value + 0.05, "count": 600} | fields,
    )


@pytest.fixture
def report(project):
    """Ann and Ben, of whom Ben takes what is shown first."""
    ann, ben = make_labeler(project, "ann"), make_labeler(project, "ben")
    made = QualityReport.objects.create(project=project, done_at=timezone.now(), rankings=240)
    figure(made, "agreement", 0.61)
    figure(made, "chance", 0.5)
    figure(made, "alpha", 0.21)
    figure(made, "agreement", 0.55, category="poems")
    for week, value in (("2026-11-02", 0.7), ("2026-11-09", 0.6)):
        figure(made, "agreement", value, labeler=ann, week=week)
    for who, value, first in ((ann, 0.7, 0.51), (ben, 0.52, 0.97)):
        figure(made, "agreement", value, labeler=who)
        figure(made, "first-position", first, labeler=who, reference=0.51, stands_out=first > 0.9)
        for measure, seconds in (("p10", 20), ("p50", 60), ("p90", 200)):
            figure(made, f"seconds-{measure}", seconds, labeler=who, low=None, high=None)
    figure(made, "agreement", 0.6, labeler=ann, other=ben)
    return made


def address(project, query=""):
    return reverse("quality", args=[project.slug]) + query


def test_before_the_first_report_it_says_what_is_needed(project, manager):
    text = as_user(manager).get(address(project)).content.decode()
    assert "No report yet" in text
    assert "labelers per prompt" in text


def test_the_headline_and_what_stands_out(project, manager, report):
    page = as_user(manager).get(address(project))
    assert page.context["head"][:3] == [
        ("61 %", "agreement on pairs", "56 to 66 %"),
        ("50 %", "by chance", ""),
        ("0.21", "Krippendorff's alpha", "0.16 to 0.26"),
    ]
    (noticed,) = page.context["noticed"]
    assert noticed.name == "ben"
    assert noticed.sentences == [
        "chooses the first far more often than others: 97 % (92 to 102 %), others 51 %"
    ]


def test_a_table_can_be_sorted_without_scripts(project, manager, report):
    client = as_user(manager)

    def names(query):
        return [row.name for row in client.get(address(project, query)).context["rows"]]

    assert names("?measure=agreement&sort=value") == ["ben", "ann"]
    assert names("?measure=agreement&sort=-value") == ["ann", "ben"]
    assert names("?measure=agreement&sort=nonsense") == ["ann", "ben"]
    page = client.get(address(project, "?measure=agreement&sort=value"))
    assert 'aria-sort="ascending"' in page.content.decode()
    assert "measure=agreement&amp;sort=-value" in page.content.decode()


def test_weeks_are_a_line_and_words(project, manager, report):
    page = as_user(manager).get(address(project, "?measure=agreement"))
    ann = page.context["rows"][0]
    assert ann.line == "0.0,7.2 120.0,9.6"
    assert ann.weeks == "2026-11-02: 70 %, 2026-11-09: 60 %"


def test_seconds_are_a_range(project, manager, report):
    page = as_user(manager).get(address(project, "?measure=seconds-p50"))
    assert (page.context["rows"][0].value, page.context["rows"][0].interval) == (
        "60 s",
        "20 s to 200 s",
    )


def test_who_agrees_with_whom(project, manager, report):
    page = as_user(manager).get(address(project))
    assert page.context["names"] == ["ann", "ben"]
    assert [[cell.value for cell in cells] for _name, cells in page.context["heat"]] == [
        ["", "60"],
        ["60", ""],
    ]


def test_managers_see_names_and_researchers_pseudonyms(project, manager, report):
    researcher = make_member(project, Role.RESEARCHER)
    text = as_user(researcher).get(address(project)).content.decode()
    assert "labeler-" in text
    assert ">ben<" not in text
    assert ">ben<" in as_user(manager).get(address(project)).content.decode()


def rows(client, project):
    answer = client.get(reverse("quality.csv", args=[project.slug]))
    text = b"".join(answer.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_every_figure_is_in_the_csv(project, manager, report):
    found = rows(as_user(manager), project)
    assert len(found) == report.figures.count()
    (first,) = [row for row in found if row["stands_out"] == "1"]
    assert (first["measure"], first["labeler"], first["value"]) == ("first-position", "ben", "0.97")
    researcher = as_user(make_member(project, Role.RESEARCHER))
    assert {row["labeler"][:8] for row in rows(researcher, project)} == {"", "labeler-"}


def test_a_name_is_no_formula(project, manager, report):
    ben = project.memberships.get(user__username="ben").user
    ben.name = "=1+1"
    ben.save()
    assert "'=1+1" in {row["labeler"] for row in rows(as_user(manager), project)}


def test_a_report_is_asked_for_by_a_button(project, manager):
    client = as_user(manager)
    client.post(reverse("quality-ask", args=[project.slug]))
    assert report_under_way(project) is not None
    text = client.get(address(project)).content.decode()
    assert "being computed" in text
    assert 'hx-trigger="every 4s"' in text


def test_the_number_of_queries_does_not_grow(
    project, manager, report, django_assert_max_num_queries
):
    client = as_user(manager)
    client.get(address(project))
    for _ in range(20):
        who = make_labeler(project)
        figure(report, "agreement", 0.6, labeler=who)
        figure(report, "agreement", 0.6, labeler=who, other=manager)
    with django_assert_max_num_queries(12):
        client.get(address(project))
