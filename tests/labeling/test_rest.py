"""How long somebody has worked without a pause of a quarter of an hour."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from labeling.models import Assignment, Project, User
from labeling.projects import update_project
from labeling.rest import stretch_of
from tests.factories import make_project, make_ranking, make_slate
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db


def worked(project: Project, labeler: User, *minutes_ago: int, seconds: float = 60.0) -> None:
    """A submission so many minutes ago each."""
    for minutes in minutes_ago:
        ranking = make_ranking(project, labeler, seconds=seconds)
        ended = timezone.now() - timedelta(minutes=minutes)
        Assignment.objects.filter(pk=ranking.assignment_id).update(completed_at=ended)


def minutes(labeler: User) -> int | None:
    found = stretch_of(labeler)
    return None if found is None else found.minutes


def test_it_begins_with_the_first_submission_after_a_pause(project, ann) -> None:
    worked(project, ann, 90, 40, 28, 16, 3)
    assert minutes(ann) == 41  # a minute of work before the submission 40 minutes ago


def test_active_time_is_no_pause_and_idle_time_is(project, ann) -> None:
    worked(project, ann, 60, seconds=60)
    worked(project, ann, 40, seconds=6 * 60)  # 14 minutes of nothing before it
    worked(project, ann, 12, seconds=20 * 60)  # 8 minutes
    assert minutes(ann) == 61
    worked(project, ann, 1, seconds=10)  # nearly 11 minutes
    assert minutes(ann) == 61


def test_a_gap_of_fifteen_minutes_is_a_pause(project, ann) -> None:
    worked(project, ann, 60, 31, 15, seconds=0)
    assert minutes(ann) is None


def test_before_work_there_is_none(ann) -> None:
    assert stretch_of(ann) is None


def test_work_in_another_project_counts_too(project, ann) -> None:
    worked(make_project(), ann, 20)
    worked(project, ann, 10)
    assert minutes(ann) == 21


def test_other_people_are_not_looked_at_and_one_query_is_enough(
    project, ann, ben, django_assert_num_queries
) -> None:
    worked(project, ben, 20, 10)
    with django_assert_num_queries(1):
        assert stretch_of(ann) is None


class TestOnTheRankingPage:
    def page(self, project: Project, labeler: User) -> str:
        return as_user(labeler).get(reverse("rank", args=[project.slug])).content.decode()

    def test_it_reminds_after_the_time_that_the_project_sets(self, project, ann) -> None:
        update_project(project=project, rest_minutes=30)
        make_slate(project)
        worked(project, ann, 40, 28, 16, 3)
        make_slate(project)
        page = self.page(project, ann)
        assert "You have worked 41 minutes without a pause." in page
        assert 'form="break-form"' in page

    @pytest.mark.parametrize("setting", [0, 50])
    def test_it_is_silent_before_and_where_there_is_none(self, project, ann, setting) -> None:
        update_project(project=project, rest_minutes=setting)
        worked(project, ann, 40, 28, 16, 3)
        make_slate(project)
        assert "without a pause" not in self.page(project, ann)

    def test_put_away_it_is_silent_until_after_the_next_pause(
        self, project, ann, monkeypatch
    ) -> None:
        update_project(project=project, rest_minutes=30)
        worked(project, ann, 40, 28, 16, 3)
        make_slate(project)
        client, address = as_user(ann), reverse("rank", args=[project.slug])
        assert "without a pause" in client.get(address).content.decode()
        answer = client.post(reverse("rest-put-away", args=[project.slug]))
        assert answer["Location"] == address
        assert "without a pause" not in client.get(address).content.decode()
        later = timezone.now() + timedelta(hours=2)
        for ago in (40, 30, 20, 10):
            ranking = make_ranking(project, ann)
            ended = later - timedelta(minutes=ago)
            Assignment.objects.filter(pk=ranking.assignment_id).update(completed_at=ended)
        make_slate(project)
        monkeypatch.setattr(timezone, "now", lambda: later)
        assert "without a pause" in client.get(address).content.decode()
