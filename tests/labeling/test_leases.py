"""A slot is one labeler's at a time; that labeler gets it back until it is done or skipped."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.assignments import (
    AlreadyDone,
    LeaseExpired,
    NotGiven,
    refuse_strangers,
    renew,
    shown,
    skip,
)
from labeling.leasing import lease_ahead, lease_next
from labeling.models import Assignment
from labeling.people import deactivate_user
from labeling.projects import archive_project
from tests.factories import (
    make_labeler,
    make_member,
    make_project,
    make_prompt,
    make_ranking,
    make_slate,
)

pytestmark = pytest.mark.django_db


def lapse(assignment: Assignment) -> None:
    Assignment.objects.filter(pk=assignment.pk).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )


def test_it_gives_the_oldest_of_the_highest_priority(project, ann):
    make_slate(project)
    first = make_slate(project, priority=5)
    make_slate(project, priority=5)
    assert lease_next(project=project, labeler=ann).slate == first


def test_two_labelers_never_hold_the_same_slot(project, ann, ben):
    one, two = make_slate(project), make_slate(project)
    assert lease_next(project=project, labeler=ann).slate == one
    assert lease_next(project=project, labeler=ben).slate == two


def test_no_work_is_none(project, ann, ben):
    make_slate(project)
    assert lease_next(project=project, labeler=ann)
    assert lease_next(project=project, labeler=ben) is None


def test_a_second_tab_shows_the_same_slot_in_the_same_order(project, ann):
    make_slate(project)
    make_slate(project)
    one = lease_next(project=project, labeler=ann)
    two = lease_next(project=project, labeler=ann)
    assert (one.pk, one.order, one.lease_token) == (two.pk, two.order, two.lease_token)
    assert shown(one) == shown(two)


def test_it_is_leased_for_ten_minutes_by_the_clock_of_the_database(project, ann, settings):
    settings.LEASE_MINUTES = 10
    make_slate(project)
    assignment = lease_next(project=project, labeler=ann)
    left = assignment.lease_expires_at - timezone.now()
    assert timedelta(minutes=9, seconds=50) < left <= timedelta(minutes=10, seconds=1)


def test_a_lapsed_lease_goes_to_the_next_labeler(project, ann, ben):
    make_slate(project)
    assignment = lease_next(project=project, labeler=ann)
    lapse(assignment)
    taken = lease_next(project=project, labeler=ben)
    assert taken.pk == assignment.pk
    assert taken.lease_token != assignment.lease_token
    assert lease_next(project=project, labeler=ann) is None


def test_a_lapsed_lease_that_nobody_took_comes_back(project, ann):
    make_slate(project)
    make_slate(project, priority=9)
    assignment = lease_next(project=project, labeler=ann)
    lapse(assignment)
    make_slate(project, priority=99)
    again = lease_next(project=project, labeler=ann)
    assert (again.pk, again.lease_token) == (assignment.pk, assignment.lease_token)
    assert again.lease_expires_at > timezone.now()


def test_the_order_is_a_shuffle_that_differs_from_slot_to_slot():
    project = make_project(k=9, overlap=20)
    slate = make_slate(project)
    orders = set(slate.assignments.values_list("order", flat=True))
    assert {"".join(sorted(order)) for order in orders} == {"012345678"}
    assert len(orders) == 20


def test_a_labeler_ranks_a_slate_once_whatever_its_overlap():
    project = make_project(overlap=3)
    ann, ben = make_labeler(project), make_labeler(project)
    slate = make_slate(project)
    make_ranking(project, ann)
    assert lease_next(project=project, labeler=ann) is None
    assert lease_next(project=project, labeler=ben).slate == slate


def test_a_skipped_slate_is_offered_to_others_only(project, ann, ben):
    make_slate(project)
    assignment = lease_next(project=project, labeler=ann)
    skip(assignment=assignment, labeler=ann, reason="too hard")
    skip(assignment=assignment, labeler=ann)
    assert lease_next(project=project, labeler=ann) is None
    assert lease_next(project=project, labeler=ben).pk == assignment.pk
    assert ann.skips.get().reason == "too hard"


def test_skipping_does_not_take_it_from_whoever_holds_it_now(project, ann, ben):
    make_slate(project)
    assignment = lease_next(project=project, labeler=ann)
    lapse(assignment)
    taken = lease_next(project=project, labeler=ben)
    skip(assignment=assignment, labeler=ann)
    taken.refresh_from_db()
    assert taken.labeler == ben


def test_a_slot_that_was_never_given_cannot_be_skipped(project, ann, ben):
    make_slate(project)
    held = lease_next(project=project, labeler=ben)
    for token in (None, uuid.uuid4(), held.lease_token):
        with pytest.raises(NotGiven):
            skip(assignment=held, labeler=ann, token=token)
    assert not ann.skips.exists()


def test_the_token_of_a_lost_slot_still_says_that_it_was_given(project, ann, ben):
    make_slate(project)
    lost = lease_next(project=project, labeler=ann)
    lapse(lost)
    taken = lease_next(project=project, labeler=ben)
    refuse_strangers(taken, ann, lost.lease_token)
    skip(assignment=taken, labeler=ann, token=lost.lease_token)
    assert ann.skips.count() == 1


def test_a_ranked_slate_cannot_be_skipped(project, ann):
    ranking = make_ranking(project, ann)
    with pytest.raises(AlreadyDone):
        skip(assignment=ranking.assignment, labeler=ann)
    assert not ann.skips.exists()


def test_renewing_starts_the_lease_anew(project, ann):
    make_slate(project)
    assignment = lease_next(project=project, labeler=ann)
    lapse(assignment)
    until = renew(assignment=assignment, labeler=ann, token=assignment.lease_token)
    assert until > timezone.now() + timedelta(minutes=9)


def test_renewing_what_somebody_else_holds_is_refused(project, ann, ben):
    make_slate(project)
    assignment = lease_next(project=project, labeler=ann)
    lapse(assignment)
    taken = lease_next(project=project, labeler=ben)
    with pytest.raises(LeaseExpired) as refused:
        renew(assignment=assignment, labeler=ann, token=assignment.lease_token)
    assert (refused.value.code, refused.value.status) == ("lease_expired", 409)
    renew(assignment=taken, labeler=ben, token=taken.lease_token)


def test_renewing_with_a_wrong_token_or_after_the_end_is_refused(project, ann):
    ranking = make_ranking(project, ann)
    assignment = ranking.assignment
    with pytest.raises(LeaseExpired):
        renew(assignment=assignment, labeler=ann, token=uuid.uuid4())
    with pytest.raises(AlreadyDone):
        renew(assignment=assignment, labeler=ann, token=assignment.lease_token)


def test_a_deactivated_person_holds_nothing(project, ann, ben):
    make_slate(project)
    assignment = lease_next(project=project, labeler=ann)
    deactivate_user(user=ann)
    assert lease_next(project=project, labeler=ben).pk == assignment.pk


def test_evaluations_go_to_labelers_who_do_not_see_the_sources(project, ann):
    make_slate(project, purpose="evaluation", priority=9)
    training = make_slate(project)
    for role in ("reviewer", "manager"):
        held = lease_next(project=project, labeler=make_member(project, role))
        assert held is None or held.slate == training
    assert lease_next(project=project, labeler=ann).slate.purpose == "evaluation"


def test_in_a_project_without_labelers_others_judge_its_evaluations(project):
    slate = make_slate(project, purpose="evaluation")
    deactivate_user(user=make_labeler(project))
    assert lease_next(project=project, labeler=make_member(project, "reviewer")).slate == slate


def test_an_archived_project_gives_nothing(project, ann):
    make_slate(project)
    archive_project(project=project)
    assert lease_next(project=project, labeler=ann) is None


def test_projects_are_kept_apart(project, ann):
    other = make_project()
    make_slate(other)
    assert lease_next(project=project, labeler=ann) is None


def test_a_lease_takes_the_same_few_queries_however_many_slates_there_are(
    project, ann, django_assert_max_num_queries
):
    for _ in range(5):
        make_slate(project, prompt=make_prompt(project))
    with django_assert_max_num_queries(7):
        lease_next(project=project, labeler=ann)


class TestAhead:
    def test_one_more_is_held_beside_the_open_one(self, project, ann):
        for _ in range(3):
            make_slate(project)
        first = lease_next(project=project, labeler=ann)
        second = lease_ahead(project=project, labeler=ann)
        assert second != first
        assert lease_ahead(project=project, labeler=ann) == second
        assert lease_next(project=project, labeler=ann) == first
        assert Assignment.objects.filter(labeler=ann).count() == 2

    def test_it_comes_next_and_others_dont_get_it(self, project, ann, ben):
        for _ in range(2):
            make_slate(project)
        first = lease_next(project=project, labeler=ann)
        second = lease_ahead(project=project, labeler=ann)
        assert lease_next(project=project, labeler=ben) is None
        make_ranking(project, ann, assignment=first)
        following = lease_next(project=project, labeler=ann)
        assert (following, following.ahead) == (second, False)

    def test_there_is_none_without_an_open_one(self, project, ann):
        make_slate(project)
        assert lease_ahead(project=project, labeler=ann) is None

    def test_a_lapsed_one_goes_to_others(self, project, ann, ben):
        for _ in range(2):
            make_slate(project)
        lease_next(project=project, labeler=ann)
        second = lease_ahead(project=project, labeler=ann)
        Assignment.objects.filter(pk=second.pk).update(lease_expires_at=timezone.now())
        taken = lease_next(project=project, labeler=ben)
        assert (taken, taken.ahead) == (second, False)

    def test_it_is_renewed_with_the_open_one(self, project, ann):
        for _ in range(2):
            make_slate(project)
        first = lease_next(project=project, labeler=ann)
        second = lease_ahead(project=project, labeler=ann)
        soon = timezone.now() + timedelta(seconds=5)
        Assignment.objects.update(lease_expires_at=soon)
        renew(assignment=first, labeler=ann, token=first.lease_token)
        second.refresh_from_db()
        assert second.lease_expires_at > soon
