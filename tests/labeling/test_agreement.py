"""How often labelers agree, with an interval over slates; numbers worked out by hand."""

from __future__ import annotations

import pytest

from labeling.agreement import agreeing_pairs, agreement_of, summarised
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
