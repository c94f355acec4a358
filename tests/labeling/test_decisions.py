"""What is held to be right of a slate, and how much of it a ranking has. Shares are by hand."""

from __future__ import annotations

import pytest

from labeling.decisions import decide, decided, decision_of, right_share
from labeling.judgements import BadJudgement, BadRanks
from labeling.models import Decision, Project, Slate
from tests.factories import make_manager, make_slate

pytestmark = pytest.mark.django_db


def ids_of(slate: Slate) -> list[int]:
    return list(slate.items.values_list("completion_id", flat=True))


def test_it_keeps_the_ranks_and_the_explanation(project: Project) -> None:
    slate, manager = make_slate(project), make_manager(project)
    a, b, c, d = ids_of(slate)
    decision = decide(
        slate=slate, by=manager, ranks={a: 2, b: 1, c: 4, d: 4}, explanation=" **B** is true. "
    )
    assert decided(decision) == {a: 2, b: 1, c: 3, d: 3}
    assert decision.explanation == "**B** is true."
    assert decision.decided_by == manager
    assert decision_of(slate) == decision


def test_a_new_word_stands_and_the_old_one_is_kept(project: Project) -> None:
    slate, manager = make_slate(project, 2), make_manager(project)
    a, b = ids_of(slate)
    first = decide(slate=slate, by=manager, ranks={a: 1, b: 2})
    second = decide(slate=slate, by=make_manager(project), ranks={a: 2, b: 1})
    assert second.replaces == first
    assert decision_of(slate) == second
    assert list(slate.decisions.filter(is_current=True)) == [second]
    first.refresh_from_db()
    assert decided(first) == {a: 1, b: 2}


def test_said_twice_it_is_stored_once(project: Project) -> None:
    slate, manager = make_slate(project, 2), make_manager(project)
    a, b = ids_of(slate)
    first = decide(slate=slate, by=manager, ranks={a: 1, b: 2}, explanation="A.")
    assert decide(slate=slate, by=manager, ranks={a: 3, b: 7}, explanation="A.\r\n") == first
    assert Decision.objects.count() == 1


def test_each_completion_needs_a_rank(project: Project) -> None:
    slate, manager = make_slate(project, 2), make_manager(project)
    a, b = ids_of(slate)
    for ranks in ({a: 1}, {a: 1, b: 0}, {a: 1, b: 2, b + 1_000: 3}):
        with pytest.raises(BadRanks):
            decide(slate=slate, by=manager, ranks=ranks)
    with pytest.raises(BadJudgement, match="longer"):
        decide(slate=slate, by=manager, ranks={a: 1, b: 2}, explanation="x" * 20_001)
    assert decision_of(slate) is None


def test_a_repeat_has_the_word_on_what_it_repeats_unless_it_has_its_own(project: Project) -> None:
    slate, manager = make_slate(project, 2), make_manager(project)
    again = make_slate(project, 2, purpose="repeat")
    Slate.objects.filter(pk=again.pk).update(repeats=slate)
    again.refresh_from_db()
    assert decision_of(again) is None
    a, b = ids_of(slate)
    first = decide(slate=slate, by=manager, ranks={a: 1, b: 2})
    assert decision_of(again) == first
    c, d = ids_of(again)
    own = decide(slate=again, by=manager, ranks={c: 1, d: 2})
    assert decision_of(again) == own


@pytest.mark.parametrize(
    ("ranks", "share"),
    [
        ((1, 2, 3, 4), 1.0),
        ((4, 3, 2, 1), 0.0),
        ((1, 1, 1, 1), 0.5),
        ((2, 1, 3, 4), 5 / 6),
        ((1, 2, 2, 3), 5.5 / 6),
        ((2, 1, 1, 1), 1.5 / 6),
    ],
)
def test_the_share_of_a_full_order(ranks: tuple[int, ...], share: float) -> None:
    right = dict(enumerate((1, 2, 3, 4)))
    said = dict(enumerate(ranks))
    assert right_share(said, right) == pytest.approx(share)


@pytest.mark.parametrize(
    ("ranks", "share"),
    [
        # Untied: 1-2, 1-3, 1-4, 2-4, 3-4. How 2 and 3 are ordered says nothing.
        ((1, 3, 2, 4), 1.0),
        ((1, 2, 2, 2), 4 / 5),
        ((2, 1, 3, 4), 4 / 5),
    ],
)
def test_what_is_tied_there_is_not_asked(ranks: tuple[int, ...], share: float) -> None:
    right = {1: 1, 2: 2, 3: 2, 4: 3}
    said = dict(zip((1, 2, 3, 4), ranks, strict=True))
    assert right_share(said, right) == pytest.approx(share)


def test_where_all_are_tied_there_is_no_share() -> None:
    assert right_share({1: 1, 2: 2}, {1: 1, 2: 1}) is None


def test_completions_beside_the_decided_ones_do_not_count() -> None:
    assert right_share({1: 2, 2: 3, 9: 1}, {1: 1, 2: 2}) == 1.0
