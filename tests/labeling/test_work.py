"""What people did is counted with the work itself, by day and category."""

import pytest
from django.utils import timezone

from labeling.judgements import judgement_of
from labeling.models import WorkDay
from labeling.rankings import correct_ranking
from labeling.work import count_work
from tests.factories import make_labeler, make_project, make_ranking

pytestmark = pytest.mark.django_db


def test_a_ranking_is_counted_with_its_active_seconds() -> None:
    project = make_project()
    labeler = make_labeler(project)
    make_ranking(project, labeler, seconds=12.5)
    make_ranking(project, labeler, seconds=7.5)
    day = WorkDay.objects.get()
    assert (day.labeler, day.day) == (labeler, timezone.localdate())
    assert (day.rankings, day.corrections, day.seconds) == (2, 0, 20.0)


def test_a_correction_is_no_second_ranking_and_adds_the_seconds_it_took() -> None:
    project = make_project()
    labeler = make_labeler(project)
    ranking = make_ranking(project, labeler, seconds=10.0)
    said = judgement_of(ranking)
    other = type(said)(ranks={pk: len(said.ranks) + 1 - rank for pk, rank in said.ranks.items()})
    correct_ranking(ranking=ranking, labeler=labeler, judgement=other, seconds=14.0)
    day = WorkDay.objects.get()
    assert (day.rankings, day.corrections, day.seconds) == (1, 1, 14.0)


def test_each_category_has_a_row_of_its_own() -> None:
    project = make_project()
    labeler = make_labeler(project)
    for category in ("brainstorming", "open QA", "open QA"):
        count_work(project=project, labeler=labeler, category=category, rankings=1)
    assert dict(WorkDay.objects.values_list("category", "rankings")) == {
        "brainstorming": 1,
        "open QA": 2,
    }
