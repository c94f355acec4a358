"""What a labeler submits is stored once and never lost: double click, two tabs, back, too late."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.assignments import LeaseExpired, NotGiven, skip
from labeling.drafts import DraftRefused, draft_of, drafted, save_draft
from labeling.judgements import BadRanks, Judgement
from labeling.leasing import lease_next
from labeling.models import Assignment, Draft, RankedCompletion, Ranking, User, WorkDay
from labeling.rankings import (
    AlreadyRanked,
    NotYours,
    correct_ranking,
    mark,
    ranks_of,
    submit_ranking,
)
from tests.factories import make_assignment, make_labeler, make_project, make_ranking, make_slate

pytestmark = pytest.mark.django_db


def ids(assignment: Assignment) -> list[int]:
    return list(assignment.slate.items.values_list("completion_id", flat=True))


def submit(assignment: Assignment, labeler: User, *ranks: int, seconds: float = 5.0) -> Ranking:
    return submit_ranking(
        assignment=assignment,
        labeler=labeler,
        token=assignment.lease_token,
        judgement=Judgement(ranks=dict(zip(ids(assignment), ranks, strict=True))),
        seconds=seconds,
    )


def lapse(assignment: Assignment) -> None:
    Assignment.objects.filter(pk=assignment.pk).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )


def test_it_stores_the_ranking_and_closes_the_slot(project, ann):
    assignment = make_assignment(project, ann)
    ranking = submit(assignment, ann, 2, 1, 3, 3, seconds=8.25)
    assert list(ranks_of(ranking).items()) == list(
        zip([ids(assignment)[i] for i in (1, 0, 2, 3)], [1, 2, 3, 3], strict=True)
    )
    assert (ranking.labeler, ranking.seconds, ranking.is_current) == (ann, 8.25, True)
    assignment.refresh_from_db()
    assert assignment.state == Assignment.State.DONE
    assert assignment.completed_at is not None


def test_gaps_between_ranks_are_closed(project, ann):
    assignment = make_assignment(project, ann)
    assert list(ranks_of(submit(assignment, ann, 7, 2, 7, 9)).values()) == [1, 2, 2, 3]


@pytest.mark.parametrize("ranks", [(0, 1, 2, 3), (-1, 1, 2, 3), (1, 2, 3, True), (1, 2, 3, 1.5)])
def test_it_refuses_a_rank_that_is_none(project, ann, ranks):
    with pytest.raises(BadRanks) as refused:
        submit(make_assignment(project, ann), ann, *ranks)
    assert refused.value.status == 400
    assert not Ranking.objects.exists()


def test_it_refuses_a_missing_or_an_unknown_completion(project, ann):
    assignment = make_assignment(project, ann)
    right = dict.fromkeys(ids(assignment), 1)
    missing = dict(list(right.items())[1:])
    for ranks in ({}, missing, right | {10**9: 1}, missing | {10**9: 1}):
        with pytest.raises(BadRanks):
            submit_ranking(
                assignment=assignment,
                labeler=ann,
                token=None,
                judgement=Judgement(ranks=ranks),
                seconds=1,
            )
    assignment.refresh_from_db()
    assert assignment.state == Assignment.State.OPEN


@pytest.mark.parametrize(
    ("sent", "stored"), [(-3, 0), (float("nan"), 0), (float("inf"), 0), (10**9, 86_400)]
)
def test_a_clock_that_is_wrong_loses_no_ranking(project, ann, sent, stored):
    assignment = make_assignment(project, ann)
    assignment.opened_at -= timedelta(days=2)
    ranking = submit(assignment, ann, 1, 2, 3, 4, seconds=sent)
    ranking.refresh_from_db()
    assert ranking.seconds == stored


def test_nobody_was_active_for_longer_than_they_had_it(project, ann):
    """People are paid by it. Ten seconds are given for what began before the server knew."""
    assignment = make_assignment(project, ann)
    assignment.opened_at -= timedelta(minutes=5)
    ranking = submit(assignment, ann, 1, 2, 3, 4, seconds=9_000)
    assert ranking.seconds == pytest.approx(310, abs=3)
    Ranking.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    ranking.refresh_from_db()
    fresh = correct_ranking(
        ranking=ranking,
        labeler=ann,
        judgement=Judgement(ranks=dict.fromkeys(ids(assignment), 1)),
        seconds=ranking.seconds + 9_000,
    )
    assert fresh.seconds == pytest.approx(310 + 130, abs=3)
    assert WorkDay.objects.get().seconds == pytest.approx(440, abs=3)


def test_corrections_side_by_side_are_not_paid_for_the_same_minutes(project, ann):
    rankings = [submit(make_assignment(project, ann), ann, 1, 2, 3, 4, seconds=1) for _ in "12"]
    Ranking.objects.update(created_at=timezone.now() - timedelta(minutes=10))
    for ranking, most in zip(rankings, (610, 10), strict=True):
        fresh = correct_ranking(
            ranking=Ranking.objects.get(pk=ranking.pk),
            labeler=ann,
            judgement=Judgement(ranks=dict.fromkeys(ranks_of(ranking), 1)),
            seconds=9_000,
        )
        assert fresh.seconds - ranking.seconds == pytest.approx(most, abs=3)


def test_who_skips_and_submits_after_all_has_not_been_at_it_for_hours(project, ann):
    assignment = make_assignment(project, ann)
    skip(assignment=assignment, labeler=ann)
    given = Assignment.objects.select_related("slate__prompt", "project").get(pk=assignment.pk)
    assert submit(given, ann, 1, 2, 3, 4, seconds=9_000).seconds == 30


def test_submitting_twice_changes_nothing(project, ann):
    assignment = make_assignment(project, ann)
    first = submit(assignment, ann, 1, 2, 3, 4)
    assert submit(assignment, ann, 1, 2, 3, 4, seconds=99) == first
    assert submit(assignment, ann, 10, 20, 30, 40) == first
    assert Ranking.objects.count() == 1
    assert RankedCompletion.objects.count() == 4


def test_other_ranks_after_the_submission_are_refused_and_kept(project, ann):
    assignment = make_assignment(project, ann)
    first = submit(assignment, ann, 1, 2, 3, 4)
    with pytest.raises(AlreadyRanked) as refused:
        submit(assignment, ann, 4, 3, 2, 1)
    assert refused.value.ranking == first
    assert list(ranks_of(first).values()) == [1, 2, 3, 4]
    kept = draft_of(slate=assignment.slate, labeler=ann)
    assert drafted(kept).ranks == dict(zip(ids(assignment), (4, 3, 2, 1), strict=True))


def test_going_back_to_a_form_that_was_corrected_since_changes_nothing(project, ann):
    assignment = make_assignment(project, ann)
    first = submit(assignment, ann, 1, 2, 3, 4)
    ranks = dict(zip(ids(assignment), (2, 1, 3, 4), strict=True))
    second = correct_ranking(
        ranking=first, labeler=ann, judgement=Judgement(ranks=ranks), seconds=1
    )
    assert submit(assignment, ann, 1, 2, 3, 4) == second


def test_a_lapsed_lease_that_nobody_took_still_counts(project, ann):
    assignment = make_assignment(project, ann)
    lapse(assignment)
    assert submit(assignment, ann, 1, 2, 3, 4).labeler == ann


def test_going_back_to_a_skipped_slate_counts_if_nobody_took_it(project, ann):
    assignment = make_assignment(project, ann)
    skip(assignment=assignment, labeler=ann)
    ranking = submit(assignment, ann, 1, 2, 3, 4)
    assignment.refresh_from_db()
    assert (ranking.labeler, assignment.labeler, assignment.state) == (ann, ann, "done")


@pytest.mark.parametrize("finished", [False, True])
def test_too_late_is_refused_and_kept_as_a_draft(project, ann, ben, finished):
    assignment = make_assignment(project, ann)
    save_draft(slate=assignment.slate, labeler=ann, sequence=41, judgement=Judgement())
    lapse(assignment)
    taken = lease_next(project=project, labeler=ben)
    if finished:
        submit(taken, ben, 4, 3, 2, 1)
    with pytest.raises(LeaseExpired) as refused:
        submit(assignment, ann, 1, 3, 3, 4)
    assert "kept as a draft" in refused.value.message
    kept = draft_of(slate=assignment.slate, labeler=ann)
    assert list(kept.content["ranks"].values()) == [1, 2, 2, 3]
    assert kept.sequence > 41
    assert Ranking.objects.count() == finished
    assert submit(taken, ben, 4, 3, 2, 1).labeler == ben


def test_a_slot_that_was_never_leased_to_the_labeler_is_refused(project, ann):
    free = make_slate(project).assignments.get()
    for token in (None, uuid.uuid4()):
        with pytest.raises(NotGiven):
            submit_ranking(
                assignment=free,
                labeler=ann,
                token=token,
                judgement=Judgement(ranks=dict.fromkeys(ids(free), 1)),
                seconds=1,
            )
    assert not Ranking.objects.exists()
    assert not Draft.objects.exists()


def test_an_older_tab_does_not_overwrite_a_newer_draft(project, ann):
    slate = make_assignment(project, ann).slate
    assert save_draft(slate=slate, labeler=ann, sequence=7, judgement=Judgement(ranks={1: 2}))
    assert not save_draft(slate=slate, labeler=ann, sequence=6, judgement=Judgement())
    assert not save_draft(slate=slate, labeler=ann, sequence=7, judgement=Judgement())
    assert draft_of(slate=slate, labeler=ann).content["ranks"] == {"1": 2}
    assert save_draft(slate=slate, labeler=ann, sequence=8, judgement=Judgement(ranks={1: 1}))
    assert drafted(Draft.objects.get()) == Judgement(ranks={1: 1})


def test_a_draft_is_the_labelers_own(project, ann, ben):
    slate = make_assignment(project, ann).slate
    save_draft(slate=slate, labeler=ann, sequence=1, judgement=Judgement(ranks={1: 1}))
    assert draft_of(slate=slate, labeler=ben) is None


def test_a_draft_that_arrives_after_the_submission_is_dropped(project, ann):
    assignment = make_assignment(project, ann)
    save_draft(slate=assignment.slate, labeler=ann, sequence=1, judgement=Judgement())
    submit(assignment, ann, 1, 2, 3, 4)
    assert not save_draft(slate=assignment.slate, labeler=ann, sequence=2, judgement=Judgement())
    assert not Draft.objects.exists()


def test_a_draft_survives_the_lease(project, ann, ben):
    assignment = make_assignment(project, ann)
    save_draft(slate=assignment.slate, labeler=ann, sequence=1, judgement=Judgement(ranks={5: 1}))
    lapse(assignment)
    lease_next(project=project, labeler=ben)
    assert draft_of(slate=assignment.slate, labeler=ann).content["ranks"] == {"5": 1}


def test_a_huge_draft_is_refused(project, ann):
    slate = make_assignment(project, ann).slate
    with pytest.raises(DraftRefused):
        save_draft(slate=slate, labeler=ann, sequence=1, judgement=Judgement(comment="y" * 2**20))


def test_a_correction_replaces_and_keeps_what_it_replaces(project, ann):
    first = make_ranking(project, ann, [1, 2, 3, 4])
    ranks = {completion: 5 - rank for completion, rank in ranks_of(first).items()}
    second = correct_ranking(
        ranking=first, labeler=ann, judgement=Judgement(ranks=ranks), seconds=4
    )
    assert ranks_of(second) == ranks
    assert list(Ranking.objects.current()) == [second]
    assert second.replaces == first
    first.refresh_from_db()
    assert not first.is_current
    assert list(ranks_of(first).values()) == [1, 2, 3, 4]


def test_correcting_twice_stores_it_once(project, ann):
    first = make_ranking(project, ann, [1, 2, 3, 4])
    ranks = {completion: 5 - rank for completion, rank in ranks_of(first).items()}
    second = correct_ranking(
        ranking=first, labeler=ann, judgement=Judgement(ranks=ranks), seconds=4
    )
    assert (
        correct_ranking(ranking=first, labeler=ann, judgement=Judgement(ranks=ranks), seconds=4)
        == second
    )
    assert (
        correct_ranking(ranking=second, labeler=ann, judgement=Judgement(ranks=ranks), seconds=4)
        == second
    )
    assert Ranking.objects.count() == 2
    other = dict.fromkeys(ranks, 1)
    with pytest.raises(AlreadyRanked):
        correct_ranking(ranking=first, labeler=ann, judgement=Judgement(ranks=other), seconds=4)


def test_only_its_labeler_corrects_a_ranking(project, ann, ben):
    ranking = make_ranking(project, ann)
    with pytest.raises(NotYours):
        correct_ranking(
            ranking=ranking, labeler=ben, judgement=Judgement(ranks=ranks_of(ranking)), seconds=1
        )


def test_the_mark_is_the_highest_committed_id(project, ann):
    assert mark() == 0
    ranking = make_ranking(project, ann)
    assert mark() == ranking.pk


def test_a_submission_takes_the_same_few_queries_for_any_k(django_assert_max_num_queries):
    for k in (2, 9):
        project = make_project(k=k)
        ann = make_labeler(project)
        assignment = make_assignment(project, ann)
        ranks = dict.fromkeys(ids(assignment), 1)
        with django_assert_max_num_queries(12):
            submit_ranking(
                assignment=assignment,
                labeler=ann,
                token=assignment.lease_token,
                judgement=Judgement(ranks=ranks),
                seconds=1,
            )
