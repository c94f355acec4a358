"""A labeler's own earlier work, once more."""

from __future__ import annotations

import pytest

from labeling.leasing import lease_next
from labeling.models import Project, Purpose, Slate, User
from labeling.repeats import AGO
from tests.factories import make_ranking, make_slate

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(project: Project) -> Project:
    """Every new prompt is a repeat where one is old enough."""
    project.repeat_percent = 100
    project.k = 2
    project.save()
    return project


def rank(project: Project, labeler: User, times: int, **said: object) -> list[Slate]:
    return [make_ranking(project, labeler, **said).slate for _ in range(times)]  # type: ignore[arg-type]


def test_twenty_rankings_later_the_same_completions_come_once_more(
    project: Project, ann: User
) -> None:
    (first, *_others) = rank(project, ann, AGO)
    make_slate(project)
    held = lease_next(project=project, labeler=ann)
    assert held and held.slate.purpose == Purpose.TRAINING  # 19 lie between
    make_ranking(project, ann, assignment=held)
    make_slate(project)
    again = lease_next(project=project, labeler=ann)
    assert again and again.slate.purpose == Purpose.REPEAT
    assert again.slate.repeats == first
    assert again.slate.prompt == first.prompt
    assert list(again.slate.items.values_list("completion")) == list(
        first.items.values_list("completion")
    )
    ranking = make_ranking(project, ann, assignment=again)
    assert ranking.right_share is None


def test_each_is_repeated_once_and_a_repeat_never(project: Project, ann: User) -> None:
    rank(project, ann, AGO + 1)
    repeated = []
    for _ in range(6):
        make_slate(project)
        given = lease_next(project=project, labeler=ann)
        assert given
        if given.slate.purpose == Purpose.REPEAT:
            repeated.append(given.slate.repeats)
        make_ranking(project, ann, assignment=given)
    assert len(repeated) == len(set(repeated)) > 1
    assert all(slate and slate.purpose == Purpose.TRAINING for slate in repeated)


def test_not_where_a_better_version_was_written(project: Project, ann: User) -> None:
    slate = make_slate(project)
    best = slate.items.get(position=0).completion_id
    make_ranking(project, ann, edits={best: "Better."})
    rank(project, ann, AGO)
    make_slate(project)
    given = lease_next(project=project, labeler=ann)
    assert given and given.slate.purpose == Purpose.TRAINING


def test_not_what_somebody_else_ranked(project: Project, ann: User, ben: User) -> None:
    rank(project, ann, AGO + 1)
    make_slate(project)
    given = lease_next(project=project, labeler=ben)
    assert given and given.slate.purpose == Purpose.TRAINING
