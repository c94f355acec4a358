"""How often labelers agree, with an interval over slates; numbers worked out by hand."""

from __future__ import annotations

import pytest

from labeling.agreement import agreeing_pairs, agreement_of, summarised
from labeling.models import Ranking, Slate
from labeling.overlap import ask_once_more
from tests.factories import make_labeler, make_project, make_ranking, make_slate

pytestmark = pytest.mark.django_db


def test_pairs_of_one_slate():
    one, two = {1: 1, 2: 2, 3: 3}, {1: 2, 2: 1, 3: 3}
    assert agreeing_pairs([one, two]) == (2, 3)
    assert agreeing_pairs([one, one, two]) == (3 + 2 + 2, 9)


def test_a_pair_that_somebody_tied_does_not_count():
    assert agreeing_pairs([{1: 1, 2: 1, 3: 2}, {1: 1, 2: 2, 3: 3}]) == (2, 2)


def test_a_better_version_that_one_of_them_wrote_is_in_no_pair():
    assert agreeing_pairs([{1: 2, 2: 3, 9: 1}, {1: 1, 2: 2}]) == (1, 1)


def test_nobody_shared_a_slate():
    project = make_project()
    make_ranking(project)
    assert agreement_of(project) is None


def test_labelers_on_shared_slates():
    project = make_project(overlap=2, k=3)
    ann, ben = make_labeler(project), make_labeler(project)
    for theirs in ([1, 2, 3], [2, 1, 3]):
        make_slate(project)
        make_ranking(project, ann, [1, 2, 3])
        make_ranking(project, ben, theirs)
    found = agreement_of(project)
    assert (found.rate, found.pairs, found.slates) == (5 / 6, 6, 2)
    assert (found.low, found.high) == (2 / 3, 1)


def test_the_interval_is_that_of_a_share_of_independent_slates():
    """600 of 800 slates with one pair each: 0.75 ± 1.96·sqrt(0.75·0.25/800) = 0.72 … 0.78."""
    found = summarised([(1, 1)] * 600 + [(0, 1)] * 200)
    assert found.rate == 0.75
    assert found.low == pytest.approx(0.720, abs=0.006)
    assert found.high == pytest.approx(0.780, abs=0.006)


def test_the_interval_is_wider_where_pairs_hang_together():
    """80 slates of ten equal pairs are 80 observations: ± 1.96·sqrt(0.75·0.25/80) = ± 0.095."""
    found = summarised([(10, 10)] * 60 + [(0, 10)] * 20)
    assert found.high - found.low == pytest.approx(0.19, abs=0.02)


def test_disputed_slates_weigh_no_more_because_more_people_are_asked():
    """One slate of two alike, one of two that differ and of four more: half of the pairs agree.

    With all six of the second one counted, 1 + 7 of 1 + 15 pairs would.
    """
    project = make_project(overlap=2, most_overlap=6, k=2)
    labelers = [make_labeler(project) for _ in range(6)]
    make_slate(project)
    for labeler in labelers[:2]:
        make_ranking(project, labeler, [1, 2])
    make_slate(project)
    for place, labeler in enumerate(labelers):
        make_ranking(project, labeler, [1, 2] if place % 2 else [2, 1])
    assert (Slate.objects.count(), Ranking.objects.count()) == (2, 8)
    found = agreement_of(project)
    assert (found.rate, found.pairs, found.slates) == (0.5, 2, 2)


def test_with_one_labeler_a_prompt_second_opinions_alone_tell_no_agreement():
    """They are asked for where a model can't tell, or people differ: chosen for being hard."""
    project = make_project(overlap=1, most_overlap=2, k=2)
    ann, ben = make_labeler(project), make_labeler(project)
    slate = make_slate(project)
    make_ranking(project, ann, [1, 2])
    assert ask_once_more(project=project, slates=[slate.pk], at_most=1) == 1
    make_ranking(project, ben, [2, 1])
    assert agreement_of(project) is None
