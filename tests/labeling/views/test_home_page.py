"""The first page counts what this person could be given, not what lies there for others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling.assignments import skip
from labeling.leasing import lease_next
from labeling.models import Assignment
from labeling.slates import demote_unopened
from labeling.tallies import keep_tallies
from tests.factories import (
    make_labeler,
    make_manager,
    make_project,
    make_prompt,
    make_ranking,
    make_slate,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project(overlap=2)


@pytest.fixture
def ann(project):
    return make_labeler(project)


def page(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client.get(reverse("home"))


def ready(user):
    (row,) = page(user).context["rows"]
    return row["project"].ready_count


def test_a_slate_counts_once_however_many_are_asked(project, ann):
    make_slate(project)
    make_slate(project)
    assert Assignment.objects.count() == 4
    assert ready(ann) == 2
    assert "2 ready" in page(ann).content.decode()


def test_what_the_person_ranked_or_skipped_is_not_ready_for_them(project, ann):
    make_ranking(project, ann)
    make_slate(project)
    skip(assignment=lease_next(project=project, labeler=ann), labeler=ann)
    assert ready(ann) == 0
    assert "nothing new right now" in page(ann).content.decode()
    assert ready(make_labeler(project)) == 2


def test_what_the_person_holds_is_ready(project, ann):
    make_slate(project)
    lease_next(project=project, labeler=ann)
    assert ready(ann) == 1


def test_what_another_holds_is_not_until_the_lease_ends(project, ann):
    make_slate(project, overlap=1)
    taken = lease_next(project=project, labeler=make_labeler(project))
    assert ready(ann) == 0
    ended = timezone.now() - timedelta(minutes=1)
    Assignment.objects.filter(pk=taken.pk).update(lease_expires_at=ended)
    assert ready(ann) == 1


def test_slates_of_a_former_policy_are_not_counted(project, ann):
    make_slate(project)
    demote_unopened(project=project)
    assert ready(ann) == 0
    assert "nothing new; earlier ones are left" in page(ann).content.decode()
    assert lease_next(project=project, labeler=ann) is not None, "they are given out all the same"
    assert "nothing new" not in page(ann).content.decode(), "what is held is ready"
    make_slate(project)
    assert ready(ann) == 2


def test_an_earlier_one_that_another_holds_is_not_left(project, ann):
    make_slate(project, overlap=1)
    demote_unopened(project=project)
    assert "earlier ones are left" in page(ann).content.decode()
    lease_next(project=project, labeler=make_labeler(project))
    assert "nothing new right now" in page(ann).content.decode()


def test_blind_comparisons_are_for_labelers_while_there_are_some(project):
    make_slate(project, purpose="evaluation")
    boss = make_manager(project)
    assert ready(boss) == 1, "nobody else judges"
    ann = make_labeler(project)
    assert (ready(ann), ready(boss)) == (1, 0)
    assert lease_next(project=project, labeler=boss) is None


def test_no_more_are_counted_than_anybody_needs_to_know(project, ann, monkeypatch):
    monkeypatch.setattr("labeling.views.home.MOST_READY", 2)
    for _ in range(2):
        make_slate(project)
    assert "2 ready" in page(ann).content.decode()
    for _ in range(3):
        make_slate(project)
    assert ready(ann) == 3
    assert "more than 2 ready" in page(ann).content.decode()


def test_prompts_of_a_large_project_are_as_last_tallied(project):
    boss = make_manager(project)
    make_prompt(project)
    make_prompt(project)
    assert "2 prompts" in page(boss).content.decode()
    keep_tallies(project=project)
    make_prompt(project)
    assert "2 prompts" in page(boss).content.decode()
    keep_tallies(project=project)
    assert "3 prompts" in page(boss).content.decode()
