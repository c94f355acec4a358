"""A reviewer's yes, another form, or no; each is said once and loses nothing."""

from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.demonstrations import live_demonstrations, propose_demonstration
from labeling.models import Demonstration, Role
from tests.factories import make_labeler, make_member, make_project, make_prompt
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db
State = Demonstration.State


@pytest.fixture
def project():
    return make_project(name="Rain")


@pytest.fixture
def proposed(project) -> Demonstration:
    return propose_demonstration(
        prompt=make_prompt(project), text="It rains **often**.", labeler=make_labeler(project)
    )


@pytest.fixture
def reviewer(project):
    return as_user(make_member(project, Role.REVIEWER))


def review(client, one: Demonstration, **fields: str):
    where = reverse("demonstration-review", args=[one.prompt.project.slug, one.pk])
    return client.post(where, {"text": one.text, **fields}, follow=True)


def test_what_waits_is_listed_first_and_can_be_opened(project, proposed, reviewer):
    page = reviewer.get(reverse("demonstration-list", args=[project.slug])).content.decode()
    assert "1 waits for a review" in page
    page = reviewer.get(reverse("demonstration", args=[project.slug, proposed.pk]))
    assert "It rains **often**.</textarea>" in page.content.decode()


def test_an_empty_list_says_what_it_is(project, reviewer):
    page = reviewer.get(reverse("demonstration-list", args=[project.slug])).content.decode()
    assert "No demonstrations yet" in page


def test_a_yes_makes_it_count(project, proposed, reviewer):
    assert "the next round learns from it" in review(reviewer, proposed).content.decode()
    assert live_demonstrations(project).get() == proposed
    proposed.refresh_from_db()
    assert proposed.reviewed_by.memberships.get().role == Role.REVIEWER


@pytest.mark.parametrize("decision", ["accept", "refuse"])
def test_a_review_can_be_taken_back(project, proposed, reviewer, decision):
    review(reviewer, proposed, **{decision: "1"})
    where = reverse("demonstration", args=[project.slug, proposed.pk])
    assert "Review it again" in reviewer.get(where).content.decode()
    assert "</textarea>" in review(reviewer, proposed, again="1").content.decode()
    proposed.refresh_from_db()
    assert (proposed.state, proposed.reviewed_by) == (State.WAITING, None)
    assert not live_demonstrations(project)
    review(reviewer, proposed, accept="1")
    assert live_demonstrations(project).get() == proposed


def test_what_waits_has_no_review_to_take_back(proposed, reviewer):
    page = review(reviewer, proposed, again="1")
    assert page.status_code == 409
    assert "Only what was accepted or refused" in page.content.decode()


def test_another_form_is_another_row_and_the_first_is_kept(project, proposed, reviewer):
    review(reviewer, proposed, text="It rains a lot.\r\nReally.")
    counts = live_demonstrations(project).get()
    assert (counts.text, counts.reviewed_from) == ("It rains a lot.\nReally.", proposed)
    proposed.refresh_from_db()
    assert (proposed.text, proposed.state) == ("It rains **often**.", State.EDITED)


def test_a_no_keeps_it_and_nothing_learns_from_it(project, proposed, reviewer):
    assert "no model learns from it" in review(reviewer, proposed, refuse="1").content.decode()
    assert not live_demonstrations(project).exists()
    assert Demonstration.objects.get().state == State.REFUSED


def test_a_second_review_is_told_and_changes_nothing(project, proposed, reviewer):
    review(reviewer, proposed)
    response = review(reviewer, proposed, refuse="1")
    assert response.status_code == 409
    assert "Somebody has reviewed this one meanwhile" in response.content.decode()
    assert Demonstration.objects.get().state == State.ACCEPTED


def test_an_empty_form_comes_back(project, proposed, reviewer):
    response = review(reviewer, proposed, text=" ")
    assert "is empty" in response.content.decode()
    assert Demonstration.objects.get().state == State.WAITING


def test_after_one_comes_the_next_that_waits(project, proposed, reviewer):
    other = propose_demonstration(
        prompt=make_prompt(project), text="Another.", labeler=make_labeler(project)
    )
    page = review(reviewer, proposed)
    assert page.redirect_chain[-1][0] == reverse("demonstration", args=[project.slug, other.pk])


def test_a_labeler_does_not_review(project, proposed):
    response = review(as_user(proposed.labeler), proposed)
    assert response.status_code == 404
