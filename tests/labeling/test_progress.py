"""The counts of the overview."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from labeling.models import Project, WorkDay
from labeling.progress import pace_of, progress_of
from labeling.prompts import withdraw_prompt
from labeling.slates import withdraw_slate
from labeling.views.progress import rest_sentence
from labeling.work import count_work
from tests.factories import (
    make_demonstration,
    make_labeler,
    make_manager,
    make_project,
    make_prompt,
    make_ranking,
    make_slate,
)
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db


def test_an_empty_project_has_zeros():
    found = progress_of(make_project())
    assert (found.prompts, found.rankings, found.newest_ranking_at) == (0, 0, None)
    assert [count for _day, count in found.rankings_by_day] == [0] * 14


def test_it_counts_each_stage():
    project = make_project(slates_ahead=2, k=2)
    ann = make_labeler(project)
    make_prompt(project, split="evaluation")
    make_demonstration(make_prompt(project, priority=1))
    make_slate(project)
    make_ranking(project, ann)
    WorkDay.objects.update(day=timezone.localdate() - timedelta(days=2))
    make_slate(project, purpose="evaluation", priority=9)
    newest = make_ranking(project, ann)
    last = make_slate(project)
    found = progress_of(project)
    assert found.prompts == 5
    assert found.prompts_by_split == {"train": 4, "judge": 0, "rm_test": 0, "evaluation": 1}
    assert found.demonstrations == 1
    assert found.completions == 6
    assert found.newest_completion_at == last.items.last().completion.created_at
    assert (found.rankings, found.evaluation_rankings, found.labelers) == (1, 1, 1)
    assert [count for _day, count in found.rankings_by_day][-3:] == [1, 0, 1]
    assert found.newest_ranking_at == newest.created_at


def test_it_takes_the_same_few_queries_however_much_there_is(django_assert_max_num_queries):
    project = make_project()
    for _ in range(4):
        make_ranking(project)
    with django_assert_max_num_queries(10):
        progress_of(project)


def test_rankings_of_what_was_withdrawn_do_not_count():
    project = make_project(k=2)
    kept, of_prompt, of_slate = (make_ranking(project) for _ in range(3))
    withdraw_prompt(prompt=of_prompt.slate.prompt)
    withdraw_slate(slate=of_slate.slate)
    assert kept.is_current
    assert progress_of(project).rankings == 1


def worked(project: Project, days_ago: int, rankings: int) -> None:
    day = timezone.localdate() - timedelta(days=days_ago)
    count_work(project=project, labeler=make_labeler(project), rankings=rankings, day=day)


class TestPace:
    def test_it_is_an_average_over_the_whole_days_of_the_last_week(self):
        project = make_project()
        for days_ago, rankings in ((9, 500), (7, 10), (1, 60), (0, 999)):
            worked(project, days_ago, rankings)
        pace = pace_of(project, open_slots=30)
        assert (pace.per_day, pace.over_days) == (10.0, 7)
        assert rest_sentence(pace) == "About 3 days at this pace."

    def test_work_that_began_three_days_ago_is_divided_by_three(self):
        project = make_project()
        worked(project, 3, 30)
        assert pace_of(project, open_slots=1).per_day == 10.0

    @pytest.mark.parametrize(
        ("days_ago", "open_slots", "sentence"),
        [
            (None, 0, "Nothing is open."),
            (None, 5, "Nobody has ranked yet, so there is no pace."),
            (0, 5, "Work began today: a pace can be told from tomorrow on."),
            (30, 5, "Nobody ranked in the last 7 days: at this pace it is never done."),
            (1, 4, "Less than a day at this pace."),
            (1, 10, "About 1 day at this pace."),
            (1, 100_000, "More than a year at this pace."),
        ],
    )
    def test_what_can_be_said_is_said(self, days_ago, open_slots, sentence):
        project = make_project()
        if days_ago is not None:
            worked(project, days_ago, 10)
        assert rest_sentence(pace_of(project, open_slots=open_slots)) == sentence


class TestPage:
    def test_it_shows_what_is_done_and_open_by_category_and_labeler(self):
        project = make_project()
        ann = make_labeler(project, "ann")
        for category in ("chat", "chat", "<i>"):
            make_slate(project, prompt=make_prompt(project, category=category))
        make_ranking(project, ann)
        client = as_user(make_manager(project))
        page = client.get(reverse("progress", args=[project.slug])).content.decode()
        rows = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in page.split("<tr>")]
        assert "chat 1 1 50 %" in rows
        assert any(row.startswith("&lt;i&gt; 0 1 0 %") for row in rows)
        assert any(row.startswith("ann 1 1") for row in rows)

    def test_an_empty_project_says_so(self):
        project = make_project()
        client = as_user(make_manager(project))
        page = client.get(reverse("progress", args=[project.slug])).content.decode()
        assert "There is nothing to rank yet" in page

    def test_the_number_of_queries_is_fixed(self):
        counts = []
        for many in (1, 4):
            project = make_project()
            for number in range(many):
                make_slate(project, prompt=make_prompt(project, category=f"category {number}"))
                make_ranking(project)
            client = as_user(make_manager(project))
            with CaptureQueriesContext(connection) as captured:
                client.get(reverse("progress", args=[project.slug]))
            counts.append(len(captured))
        assert counts[0] == counts[1] <= 21
