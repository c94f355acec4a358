"""Practice and quiz before the first real prompt. Shares are worked out by hand."""

from __future__ import annotations

import pytest

from labeling import screening
from labeling.assignments import skip
from labeling.known_answers import restore_item, withdraw_item
from labeling.leasing import lease_ahead, lease_next
from labeling.models import Assignment, Membership, Project, Ranking, Role, User
from labeling.people import set_role
from labeling.screening import NotAccepted
from tests.factories import (
    make_item,
    make_labeler,
    make_member,
    make_ranking,
    make_slate,
)

pytestmark = pytest.mark.django_db

RIGHT = (1, 2, 3, 4)
WRONG = (4, 3, 2, 1)


def member(project: Project, user: User) -> Membership:
    return Membership.objects.get(project=project, user=user)


def next_for(project: Project, labeler: User) -> Assignment:
    given = lease_next(project=project, labeler=labeler)
    assert given is not None
    return given


def rank_next(project: Project, labeler: User, ranks: tuple[int, ...] = RIGHT) -> Ranking:
    return make_ranking(project, labeler, ranks, assignment=next_for(project, labeler))


def test_practice_comes_first_then_the_quiz_then_work(project: Project, ann: User) -> None:
    real = make_slate(project)
    quiz = [make_item(project, "quiz"), make_item(project, "quiz")]
    practice = [make_item(project, "practice"), make_item(project, "practice")]
    given = [rank_next(project, ann).slate for _ in range(5)]
    assert given == [*practice, *quiz, real]
    assert member(project, ann).accepted_at is not None


def test_nothing_is_held_ahead_meanwhile(project: Project, ann: User) -> None:
    make_slate(project)
    make_item(project, "quiz")
    next_for(project, ann)
    assert lease_ahead(project=project, labeler=ann) is None


def test_the_same_item_comes_back_until_it_is_done(project: Project, ann: User) -> None:
    make_item(project, "quiz")
    first = next_for(project, ann)
    Assignment.objects.filter(pk=first.pk).update(lease_expires_at=first.slate.created_at)
    again = next_for(project, ann)
    assert (again.pk, again.order, again.lease_token) == (first.pk, first.order, first.lease_token)


def test_each_labeler_has_a_slot_of_their_own_and_nobody_takes_it(
    project: Project, ann: User, ben: User
) -> None:
    quiz = make_item(project, "quiz")
    one, other = next_for(project, ann), next_for(project, ben)
    assert one.slate == other.slate == quiz
    assert one.pk != other.pk
    reviewer = make_member(project, Role.REVIEWER)
    Assignment.objects.update(lease_expires_at=quiz.created_at)
    assert lease_next(project=project, labeler=reviewer) is None


@pytest.mark.parametrize(
    ("second", "share", "passes"),
    [((2, 1, 3, 4), 11 / 12, True), ((3, 2, 1, 4), 9 / 12, True), (WRONG, 0.5, False)],
)
def test_the_mean_share_decides(
    project: Project, ann: User, second: tuple[int, ...], share: float, passes: bool
) -> None:
    """Of 6 pairs each: all, and 5, 3 or 0; the pass mark is 70."""
    make_item(project, "quiz")
    make_item(project, "quiz")
    make_slate(project)
    rank_next(project, ann)
    rank_next(project, ann, second)
    found = member(project, ann)
    assert screening.progress_of(found).share == pytest.approx(share)
    assert (found.accepted_at is not None, found.quiz_failed_at is not None) == (
        passes,
        not passes,
    )
    if not passes:
        with pytest.raises(NotAccepted):
            lease_next(project=project, labeler=ann)


def test_practice_does_not_count(project: Project, ann: User) -> None:
    make_item(project, "practice")
    make_item(project, "quiz")
    practised = rank_next(project, ann, WRONG)
    assert practised.right_share == 0.0
    rank_next(project, ann)
    assert member(project, ann).accepted_at is not None


def test_practice_alone_is_enough_where_there_is_no_quiz(project: Project, ann: User) -> None:
    make_item(project, "practice")
    real = make_slate(project)
    rank_next(project, ann, WRONG)
    assert rank_next(project, ann).slate == real


def test_a_skipped_quiz_item_counts_as_a_guess(project: Project, ann: User) -> None:
    make_item(project, "quiz")
    make_item(project, "quiz")
    passed_on = next_for(project, ann)
    skip(assignment=passed_on, labeler=ann)
    rank_next(project, ann)
    assert screening.progress_of(member(project, ann)).share == 0.75


def test_another_try_shows_the_same_items_as_new_slates(project: Project, ann: User) -> None:
    quiz = [make_item(project, "quiz"), make_item(project, "quiz")]
    make_slate(project)
    for _ in quiz:
        rank_next(project, ann, WRONG)
    screening.give_another_try(membership=member(project, ann))
    for item in quiz:
        again = next_for(project, ann)
        assert again.slate != item
        assert again.slate.repeats == item
        assert set(again.slate.items.values_list("completion")) == set(
            item.items.values_list("completion")
        )
        assert make_ranking(project, ann, assignment=again, ranks=RIGHT).right_share == 1.0
    assert member(project, ann).accepted_at is not None
    assert Ranking.objects.filter(labeler=ann).count() == 4


def test_a_manager_accepts_whoever_failed(project: Project, ann: User) -> None:
    make_item(project, "quiz")
    real = make_slate(project)
    rank_next(project, ann, WRONG)
    screening.accept(membership=member(project, ann))
    assert next_for(project, ann).slate == real


def test_who_worked_before_there_was_a_quiz_is_asked_unless_accepted(
    project: Project, ann: User, ben: User
) -> None:
    make_ranking(project, ann)
    quiz = make_item(project, "quiz")
    assert next_for(project, ann).slate == quiz
    assert screening.accept_all_at_work(project=project) == 1
    assert member(project, ann).accepted_at is not None
    assert member(project, ben).accepted_at is None


def test_what_is_open_already_may_be_finished_first(project: Project, ann: User) -> None:
    real = make_slate(project)
    held = next_for(project, ann)
    quiz = make_item(project, "quiz")
    assert next_for(project, ann) == held
    assert rank_next(project, ann).slate == real
    assert next_for(project, ann).slate == quiz


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.MANAGER])
def test_reviewers_and_managers_are_never_asked(project: Project, role: Role) -> None:
    make_item(project, "practice")
    make_item(project, "quiz")
    real = make_slate(project)
    assert next_for(project, make_member(project, role)).slate == real


def test_nobody_is_asked_where_it_is_switched_off(project: Project, ann: User) -> None:
    make_item(project, "quiz")
    real = make_slate(project)
    project.practice_first = False
    assert next_for(project, ann).slate == real


def test_gold_items_alone_screen_nobody(project: Project, ann: User) -> None:
    make_item(project, "gold")
    real = make_slate(project)
    assert next_for(project, ann).slate == real


def test_withdrawn_items_are_not_given(project: Project, ann: User) -> None:
    quiz = make_item(project, "quiz")
    real = make_slate(project)
    held = next_for(project, ann)
    withdraw_item(item=quiz)
    assert make_ranking(project, ann, assignment=held).right_share == 1.0  # it was under way
    assert next_for(project, ann).slate == real
    restore_item(item=quiz)
    assert member(project, ann).accepted_at is None


def test_who_is_taken_out_and_comes_back_goes_on_where_they_were(
    project: Project, ann: User
) -> None:
    first, second = make_item(project, "quiz"), make_item(project, "quiz")
    assert rank_next(project, ann).slate == first
    member(project, ann).delete()
    set_role(project=project, user=ann, role=Role.LABELER)
    assert rank_next(project, ann).slate == second
    assert member(project, ann).accepted_at is not None


def test_progress_of_many_takes_three_queries(
    project: Project, django_assert_num_queries: object
) -> None:
    items = [make_item(project, "practice"), make_item(project, "quiz")]
    labelers = [make_labeler(project) for _ in range(4)]
    for labeler in labelers:
        rank_next(project, labeler)
    members = list(Membership.objects.filter(project=project, role=Role.LABELER))
    with django_assert_num_queries(3):  # type: ignore[operator]  # pytest-django's fixture
        found = screening.progress_in(project, members)
    assert {one.practice_done for one in found.values()} == {1}
    assert {one.left for one in found.values()} == {(items[1],)}
