"""Gold items among a labeler's others, and who is paused. Shares are worked out by hand."""

from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.assignments import skip
from labeling.gold import running_out, window_of
from labeling.judgements import Judgement
from labeling.known_answers import make_item as make_item_of
from labeling.leasing import lease_ahead, lease_next, open_next
from labeling.models import (
    Assignment,
    Draft,
    Membership,
    Project,
    Purpose,
    Role,
    Slate,
    Tally,
    User,
)
from labeling.pauses import Paused, pause, resume
from labeling.prompts import restore_prompt, withdraw_prompt
from labeling.rankings import correct_ranking, submit_ranking
from labeling.tallies import tallies_of
from tests.factories import (
    make_answer,
    make_item,
    make_labeler,
    make_manager,
    make_member,
    make_ranking,
    make_slate,
)
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db

RIGHT = (1, 2, 3, 4)
WRONG = (4, 3, 2, 1)


@pytest.fixture
def project(project: Project) -> Project:
    """Every new prompt is a gold item where there is one; three of them are looked at."""
    project.gold_percent, project.gold_window, project.gold_pass = 100, 3, 60
    project.save()
    return project


def member(project: Project, user: User) -> Membership:
    return Membership.objects.get(project=project, user=user)


def next_for(project: Project, labeler: User) -> Slate:
    given = lease_next(project=project, labeler=labeler)
    assert given is not None
    return given.slate


def test_an_item_comes_once_to_each_labeler(project: Project, ann: User, ben: User) -> None:
    item, real = make_item(project), make_slate(project, overlap=2)
    for labeler in (ann, ben):
        assert next_for(project, labeler) == item
        assert next_for(project, labeler) == item  # a second tab
        make_ranking(project, labeler)
        assert next_for(project, labeler) == real


def test_none_comes_where_there_is_nothing_else_to_rank(project: Project, ann: User) -> None:
    make_item(project)
    assert lease_next(project=project, labeler=ann) is None


def test_none_comes_at_a_rate_of_zero(project: Project, ann: User) -> None:
    project.gold_percent = 0
    make_item(project)
    real = make_slate(project)
    assert next_for(project, ann) == real


def test_about_as_many_come_as_the_rate_says(project: Project, ann: User) -> None:
    """Of 60 prompts at 30 %, 18 are expected; by chance fewer than 6 or more than 32 never are."""
    project.gold_percent = 30
    for _ in range(60):
        make_item(project, ranks=(1, 2))
        make_slate(project, 2)
    found = []
    for _ in range(60):
        found.append(next_for(project, ann).purpose)
        make_ranking(project, ann)
    assert 6 <= found.count(Purpose.GOLD) <= 32
    assert set(found) == {Purpose.GOLD, Purpose.TRAINING}


def test_the_one_held_ahead_can_be_gold_as_well(project: Project, ann: User) -> None:
    items = {make_item(project), make_item(project)}
    make_slate(project)
    first = lease_next(project=project, labeler=ann)
    ahead = lease_ahead(project=project, labeler=ann)
    assert first and ahead
    assert {first.slate, ahead.slate} == items
    assert lease_ahead(project=project, labeler=ann) == ahead
    make_ranking(project, ann, assignment=first)
    assert lease_next(project=project, labeler=ann) == ahead


def test_one_that_was_skipped_does_not_come_again(project: Project, ann: User) -> None:
    item, real = make_item(project), make_slate(project)
    held = lease_next(project=project, labeler=ann)
    assert held and held.slate == item
    skip(assignment=held, labeler=ann)
    assert next_for(project, ann) == real


def test_one_that_was_skipped_is_no_work_left_to_be_done(project: Project, ann: User) -> None:
    """Nobody else would ever be given its slot: progress would never come to an end."""
    make_item(project), make_slate(project)
    held = lease_next(project=project, labeler=ann)
    assert held and held.slate.purpose == Purpose.GOLD
    skip(assignment=held, labeler=ann)
    assert tallies_of(project).total(Tally.Measure.OPEN) == 1
    make_ranking(project, ann)
    assert tallies_of(project).total(Tally.Measure.OPEN) == 0


def test_one_whose_prompt_comes_back_is_given_anew_and_leaves_no_open_slot(
    project: Project, ann: User
) -> None:
    item, _real = make_item(project), make_slate(project)
    assert next_for(project, ann) == item
    withdraw_prompt(prompt=item.prompt)
    restore_prompt(prompt=item.prompt)
    assert tallies_of(project).total(Tally.Measure.OPEN) == 1
    assert next_for(project, ann) == item


def test_whose_items_run_out_is_told_before_nothing_checks_them(
    project: Project, ann: User, ben: User
) -> None:
    for _ in range(5):
        make_item(project)
        make_slate(project, overlap=2)
    assert running_out(project) == []
    make_ranking(project, ann)  # her first item
    assert running_out(project) == [(ann, 4)]
    page = as_user(make_manager(project)).get(reverse("known-answer-list", args=[project.slug]))
    assert f"{ann}: 4 left" in page.content.decode()
    skip(
        assignment=Assignment.objects.get(pk=lease_next(project=project, labeler=ben).pk),
        labeler=ben,
    )
    assert sorted(running_out(project), key=str) == sorted([(ann, 4), (ben, 4)], key=str)
    project.gold_percent = 0
    assert running_out(project) == []


def test_who_is_paused_does_not_go_on_with_one_held_ahead(project: Project, ann: User) -> None:
    make_item(project), make_item(project), make_slate(project)
    first = lease_next(project=project, labeler=ann)
    ahead = lease_ahead(project=project, labeler=ann)
    assert first and ahead and ahead.slate.purpose == Purpose.GOLD
    pause(membership=member(project, ann), by=None)
    make_ranking(project, ann, assignment=first)
    with pytest.raises(Paused):
        open_next(project=project, labeler=ann)


def test_one_made_of_what_the_labeler_ranked_does_not_come(
    project: Project, ann: User, ben: User
) -> None:
    ranking = make_ranking(project, ann)
    ids = ranking.slate.items.values_list("completion_id", flat=True)
    item = make_item_of(
        prompt=ranking.slate.prompt,
        ranks={pk: place for place, pk in enumerate(ids, 1)},
        purpose="gold",
        by=make_manager(project),
        made_of=ranking.slate,
    )
    real = make_slate(project, overlap=2)
    assert item.repeats == ranking.slate
    assert next_for(project, ann) == real
    assert next_for(project, ben) == item


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.MANAGER])
def test_only_labelers_get_any(project: Project, role: Role) -> None:
    make_item(project)
    real = make_slate(project)
    assert next_for(project, make_member(project, role)) == real


def test_the_share_stands_with_the_ranking_and_anew_with_its_correction(
    project: Project, ann: User
) -> None:
    ranking = make_answer(make_item(project), ann, (2, 1, 3, 4))
    assert ranking.right_share == pytest.approx(5 / 6)
    ids = ranking.slate.items.values_list("completion_id", flat=True)
    fresh = correct_ranking(
        ranking=ranking,
        labeler=ann,
        judgement=Judgement(ranks=dict(zip(ids, (1, 1, 1, 1), strict=True))),
        seconds=1,
    )
    assert fresh.right_share == 0.5
    assert make_ranking(project, ann).right_share is None


def test_below_the_line_over_the_whole_window_a_labeler_is_paused(
    project: Project, ann: User
) -> None:
    """1, 1/2 and 0 of the pairs: 50 % where 60 are asked for."""
    make_answer(make_item(project), ann, RIGHT)
    make_answer(make_item(project), ann, (1, 1, 1, 1))
    assert member(project, ann).paused_at is None  # two of three
    make_answer(make_item(project), ann, WRONG)
    paused = member(project, ann)
    assert paused.paused_at is not None
    assert paused.paused_by is None
    assert paused.pause_note == "50 % right on the last 3 gold items; the line is 60 %."
    with pytest.raises(Paused):
        lease_next(project=project, labeler=ann)


def test_at_the_line_nobody_is_paused(project: Project, ann: User) -> None:
    project.gold_pass = 50
    project.save()
    for ranks in (RIGHT, (1, 1, 1, 1), WRONG):
        make_answer(make_item(project), ann, ranks)
    assert member(project, ann).paused_at is None


def test_only_the_last_ones_are_looked_at(project: Project, ann: User) -> None:
    for ranks in (WRONG, RIGHT, RIGHT, RIGHT, (1, 1, 1, 1)):
        make_answer(make_item(project), ann, ranks)
    window = window_of(member(project, ann))
    assert (window.count, window.share) == (3, pytest.approx(2.5 / 3))
    assert member(project, ann).paused_at is None


def test_a_correction_does_not_come_last_by_being_newer(project: Project, ann: User) -> None:
    first = make_answer(make_item(project), ann, (1, 1, 1, 1))
    for _ in range(3):
        make_answer(make_item(project), ann, RIGHT)
    ids = first.slate.items.values_list("completion_id", flat=True)
    said = Judgement(ranks=dict(zip(ids, WRONG, strict=True)))
    correct_ranking(ranking=first, labeler=ann, judgement=said, seconds=1)
    assert window_of(member(project, ann)).share == 1.0


def test_after_a_pause_the_window_begins_anew(project: Project, ann: User) -> None:
    for _ in range(3):
        make_answer(make_item(project), ann, WRONG)
    resume(membership=member(project, ann))
    assert member(project, ann).paused_at is None
    assert window_of(member(project, ann)).count == 0
    make_answer(make_item(project), ann, WRONG)
    make_answer(make_item(project), ann, WRONG)
    assert member(project, ann).paused_at is None
    make_answer(make_item(project), ann, WRONG)
    assert member(project, ann).paused_at is not None


def test_a_line_of_zero_pauses_nobody(project: Project, ann: User) -> None:
    project.gold_pass = 0
    project.save()
    for _ in range(4):
        make_answer(make_item(project), ann, WRONG)
    assert member(project, ann).paused_at is None


def test_a_pause_lets_others_take_what_was_held_and_keeps_what_was_under_way(
    project: Project, ann: User, ben: User
) -> None:
    project.gold_percent = 0
    make_slate(project)
    held = lease_next(project=project, labeler=ann)
    assert held
    ids = list(held.slate.items.values_list("completion_id", flat=True))
    Draft.objects.create(slate=held.slate, labeler=ann, sequence=1, content={})
    manager = make_manager(project)
    pause(membership=member(project, ann), by=manager, note=" On leave. ")
    paused = member(project, ann)
    assert (paused.paused_by, paused.pause_note) == (manager, "On leave.")
    assert Draft.objects.filter(labeler=ann).exists()
    held.refresh_from_db()
    assert held.labeler is None
    stored = submit_ranking(
        assignment=held,
        labeler=ann,
        token=held.lease_token,
        judgement=Judgement(ranks={pk: place for place, pk in enumerate(ids, 1)}),
        seconds=3,
    )
    assert stored.labeler == ann
    make_slate(project)
    given = lease_next(project=project, labeler=ben)
    assert given and given.slate != held.slate


def test_what_was_made_for_the_labeler_alone_waits_for_them(project: Project, ann: User) -> None:
    item = make_item(project)
    make_slate(project)
    held = lease_next(project=project, labeler=ann)
    assert held and held.slate == item
    pause(membership=member(project, ann), by=None)
    resume(membership=member(project, ann))
    assert lease_next(project=project, labeler=ann) == held


def test_a_gold_slot_that_lapsed_goes_to_nobody_else(project: Project, ann: User) -> None:
    item = make_item(project)
    make_slate(project)
    assert next_for(project, ann) == item
    Assignment.objects.update(lease_expires_at=item.created_at)
    ben = make_labeler(project)
    held = lease_next(project=project, labeler=ben)
    assert held and held.pk != Assignment.objects.get(labeler=ann).pk


def test_a_better_version_of_a_gold_completion_is_kept(project: Project, ann: User) -> None:
    """As on any prompt: ranked first, and proposed as a demonstration; the share is as without."""
    item = make_item(project)
    make_slate(project)
    held = lease_next(project=project, labeler=ann)
    assert held and held.slate == item
    best = item.items.get(position=3).completion_id
    ranking = make_ranking(project, ann, RIGHT, assignment=held, edits={best: "Much better."})
    assert ranking.right_share == 1.0
    assert ranking.ranks.count() == 5
    assert item.prompt.demonstrations.get().text == "Much better."
