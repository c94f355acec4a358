"""What waits for a manager in the labeling stands on the overview, with the way there."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from labeling.demonstrations import propose_demonstration
from labeling.pauses import pause
from labeling.quality.report import work_out
from labeling.quality_reports import ask_for_report
from tests.factories import (
    make_labeler,
    make_manager,
    make_project,
    make_prompt,
    make_ranking,
    make_slate,
)
from training.views.team_needs import team_needs

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_is_kept():
    cache.clear()


@pytest.fixture
def project():
    return make_project(overlap=2)


def said(project, **how):
    return [need.sentence for need in team_needs(project, **how)]


def test_where_nobody_waits_there_is_nothing(project):
    make_labeler(project)
    assert said(project) == []


def test_labelers_who_failed_or_were_paused_wait_for_a_word(project):
    failed, paused, by_hand = (make_labeler(project).memberships.get() for _ in range(3))
    failed.quiz_failed_at = timezone.now()
    failed.save()
    pause(membership=paused, by=None)
    pause(membership=by_hand, by=make_manager(project))
    assert said(project) == [
        "1 labeler did not pass the quiz and waits for a word from you.",
        "1 labeler is paused by the gold items and waits for a word from you.",
    ]


def test_demonstrations_wait_for_a_review(project):
    for text in ("It rains.", "It pours."):
        propose_demonstration(prompt=make_prompt(project), text=text, labeler=make_labeler(project))
    (need,) = team_needs(project)
    assert need.sentence == "2 demonstrations wait for a review."
    assert need.href == reverse("demonstration-list", args=[project.slug]) + "?state=waiting"


def test_disputes_wait_for_a_decision(project):
    make_slate(project, ["One.", "Two."])
    make_ranking(project, make_labeler(project), [1, 2])
    make_ranking(project, make_labeler(project), [2, 1])
    work_out(ask_for_report(project))
    assert said(project) == ["1 prompt is in dispute and waits for a decision."]


def test_a_poll_is_content_with_what_was_found_lately(project, django_assert_num_queries):
    said(project)
    pause(membership=make_labeler(project).memberships.get(), by=None)
    with django_assert_num_queries(0):
        assert said(project, polled=True) == []
    assert len(said(project)) == 1
