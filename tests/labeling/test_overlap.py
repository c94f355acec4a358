"""One labeler more where those so far disagree, or where whoever trains asks."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.judgements import Judgement
from labeling.leasing import lease_next
from labeling.models import Assignment, Project, Purpose, Ranking, Slate
from labeling.overlap import ask_once_more
from labeling.prompts import withdraw_prompt
from labeling.rankings import correct_ranking
from labeling.slates import withdraw_slate
from tests.factories import make_labeler, make_project, make_prompt, make_ranking, make_slate

pytestmark = pytest.mark.django_db

ONE_WAY = [1, 2, 3, 4]
OTHER_WAY = [4, 3, 2, 1]
NEARLY = [2, 1, 3, 4]
"""Five of six pairs as ONE_WAY has them: 83 %."""


@pytest.fixture
def project(db: None) -> Project:
    return make_project(overlap=2, most_overlap=4)


def ranked(slate: Slate, *rankings: list[int]) -> list[int]:
    """Each by another labeler; how many slots there were after each."""
    counts = []
    for ranks in rankings:
        labeler = make_labeler(slate.project)
        make_ranking(slate.project, labeler, ranks)
        counts.append(slate.assignments.count())
    return counts


def test_one_more_is_asked_where_two_disagree(project: Project) -> None:
    slate = make_slate(project, prompt=make_prompt(project, category="open QA", priority=3))
    assert ranked(slate, ONE_WAY, OTHER_WAY) == [2, 3]
    fresh = slate.assignments.get(slot=2)
    assert (fresh.state, fresh.priority, fresh.category) == ("open", 3, "open QA")
    assert sorted(fresh.order) == ["0", "1", "2", "3"]


def test_nobody_more_is_asked_where_they_agree(project: Project) -> None:
    assert ranked(make_slate(project), ONE_WAY, NEARLY) == [2, 2]


def test_it_goes_on_while_they_disagree_up_to_the_limit(project: Project) -> None:
    slate = make_slate(project)
    assert ranked(slate, ONE_WAY, OTHER_WAY, ONE_WAY, OTHER_WAY) == [2, 3, 4, 4]
    assert lease_next(project=project, labeler=make_labeler(project)) is None


def test_it_ends_as_soon_as_they_agree_enough() -> None:
    project = make_project(overlap=2, most_overlap=6)
    # Pairs alike: 3 of 6 between the first two, then 3, 6 and 3 more of 18: 12 of 18 is below .7;
    # with a fourth like the first 3 + 6 + 3 + 6 + 3 + 6 = 27 of 36, which is above.
    half = [3, 2, 1, 4]
    slate = make_slate(project)
    assert ranked(slate, ONE_WAY, half, ONE_WAY, ONE_WAY) == [2, 3, 4, 4]


def test_those_who_tied_disagree_with_nobody(project: Project) -> None:
    assert ranked(make_slate(project), ONE_WAY, [1, 1, 1, 1]) == [2, 2]


def test_a_better_version_is_no_dispute(project: Project) -> None:
    slate = make_slate(project)
    ranked(slate, ONE_WAY)
    first = slate.items.all()[0].completion_id
    make_ranking(project, make_labeler(project), ONE_WAY, edits={first: "Better."})
    assert slate.assignments.count() == 2


def test_a_project_without_a_limit_asks_as_many_as_it_says_and_no_query_more() -> None:
    counts = []
    for settings in ({"most_overlap": 0}, {"most_overlap": 2}, {"most_overlap": 3}):
        project = make_project(overlap=2, **settings)
        slate = make_slate(project)
        ranked(slate, ONE_WAY)
        labeler = make_labeler(project)
        assignment = lease_next(project=project, labeler=labeler)
        with CaptureQueriesContext(connection) as counted:
            make_ranking(project, labeler, OTHER_WAY, assignment=assignment)
        counts.append((slate.assignments.count(), len(counted)))
    assert [slots for slots, _queries in counts] == [2, 2, 3]
    assert counts[0][1] == counts[1][1] < counts[2][1]


@pytest.mark.parametrize("purpose", [Purpose.EVALUATION, Purpose.GOLD])
def test_only_training_slates_get_more(project: Project, purpose: Purpose) -> None:
    assert ranked(make_slate(project, purpose=purpose), ONE_WAY, OTHER_WAY) == [2, 2]


def test_what_was_withdrawn_meanwhile_gets_no_more(project: Project) -> None:
    slates = [make_slate(project, priority=number) for number in (2, 1)]
    for slate in slates:
        ranked(slate, ONE_WAY)
        labeler = make_labeler(project)
        assignment = lease_next(project=project, labeler=labeler)
        assert assignment and assignment.slate == slate
        if slate is slates[0]:
            withdraw_slate(slate=slate)
        else:
            withdraw_prompt(prompt=slate.prompt)
        make_ranking(project, labeler, OTHER_WAY, assignment=assignment)
        assert slate.assignments.count() == 2


def test_a_correction_asks_nobody(project: Project) -> None:
    slate = make_slate(project)
    ranked(slate, ONE_WAY, ONE_WAY)
    ranking = Ranking.objects.latest("pk")
    ids = slate.items.values_list("completion_id", flat=True)
    turned = Judgement(ranks=dict(zip(ids, OTHER_WAY, strict=True)))
    correct_ranking(ranking=ranking, labeler=ranking.labeler, judgement=turned, seconds=1.0)
    assert slate.assignments.count() == 2


class TestAskOnceMore:
    def test_ranked_slates_get_one_slot_in_the_order_given(self) -> None:
        project = make_project(overlap=1, most_overlap=2)
        slates = [make_slate(project) for _ in range(3)]
        for slate in slates:
            ranked(slate, ONE_WAY)
        wanted = [slates[2].pk, slates[2].pk, slates[0].pk, slates[1].pk]
        assert ask_once_more(project=project, slates=wanted, at_most=2) == 2
        assert [slate.assignments.count() for slate in slates] == [2, 1, 2]

    def test_asked_twice_is_asked_once(self) -> None:
        project = make_project(overlap=1, most_overlap=3)
        slate = make_slate(project)
        ranked(slate, ONE_WAY)
        assert ask_once_more(project=project, slates=[slate.pk], at_most=20) == 1
        assert ask_once_more(project=project, slates=[slate.pk], at_most=20) == 0
        assert slate.assignments.count() == 2

    def test_others_get_none(self) -> None:
        project = make_project(overlap=1, most_overlap=2)
        unranked, withdrawn, foreign = (
            make_slate(project),
            make_slate(project, priority=9),
            make_slate(make_project(most_overlap=2)),
        )
        ranked(withdrawn, ONE_WAY)
        withdraw_slate(slate=withdrawn)
        ranked(foreign, ONE_WAY)
        wanted = [unranked.pk, withdrawn.pk, foreign.pk, 10**9]
        assert ask_once_more(project=project, slates=wanted, at_most=20) == 0
        assert Assignment.objects.count() == 3

    def test_a_project_without_a_limit_asks_nobody(self) -> None:
        project = make_project(overlap=1)
        slate = make_slate(project)
        ranked(slate, ONE_WAY)
        assert ask_once_more(project=project, slates=[slate.pk], at_most=20) == 0
