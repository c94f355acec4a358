"""The counts of the overview."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.models import Ranking
from labeling.progress import progress_of
from labeling.prompts import withdraw_prompt
from labeling.slates import withdraw_slate
from tests.factories import (
    make_demonstration,
    make_labeler,
    make_project,
    make_prompt,
    make_ranking,
    make_slate,
)

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
    old = make_ranking(project, ann)
    Ranking.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
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
    with django_assert_max_num_queries(8):
        progress_of(project)


def test_rankings_of_what_was_withdrawn_do_not_count():
    project = make_project(k=2)
    kept, of_prompt, of_slate = (make_ranking(project) for _ in range(3))
    withdraw_prompt(prompt=of_prompt.slate.prompt)
    withdraw_slate(slate=of_slate.slate)
    assert kept.is_current
    assert progress_of(project).rankings == 1
