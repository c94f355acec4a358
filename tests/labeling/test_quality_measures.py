"""Measures on rankings that were worked out by hand, and against published values."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest

from labeling.quality.alpha import alpha, alpha_of
from labeling.quality.pairs import encounters, leanings
from labeling.quality.resampling import Estimate, share, wilson
from labeling.quality.standing_out import judge
from labeling.quality.table import MOST, Table

NAN = float("nan")
KRIPPENDORFF_2011 = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]
"""Four observers, twelve units: 'Computing Krippendorff's Alpha-Reliability', section C and D."""


def coincidences(data, values):
    """As the paper does it by hand: within each unit all ordered pairs, each 1/(m − 1)."""
    found = np.zeros((len(values), len(values)))
    for unit in np.array(data, dtype=float).T:
        there = [values.index(value) for value in unit if not np.isnan(value)]
        for one, a in enumerate(there):
            for other, b in enumerate(there):
                if one != other:
                    found[a, b] += 1 / (len(there) - 1)
    return found


def table_of(rankings, *, orders=None, lengths=None, labelers=None, slates=None):
    """A table of rankings of K completions; without more, all of slate 0, by labelers 0, 1, 2 …"""
    count = len(rankings)
    wide = np.zeros((3, count, MOST), dtype=int)
    for row, ranks in enumerate(rankings):
        k = len(ranks)
        wide[0, row, :k] = ranks
        wide[1, row, :k] = orders[row] if orders else range(k)
        wide[2, row, :k] = lengths[row] if lengths else 10
    who = np.array(labelers if labelers is not None else range(count))
    slate = np.array(slates if slates is not None else [0] * count)
    return Table(
        labelers=list(range(who.max() + 1)),
        categories=[""],
        slates=np.arange(slate.max() + 1),
        slate=slate,
        labeler=who,
        category=np.zeros(count, int),
        gold=np.zeros(count, bool),
        training=np.ones(count, bool),
        asked=np.ones(count, bool),
        week=np.zeros(count, int),
        seconds=np.full(count, 60.0),
        right_share=np.full(count, NAN),
        least_seconds=np.ones(count),
        ranks=wide[0].astype(np.uint8),
        places=wide[1].astype(np.uint8),
        lengths=wide[2].astype(np.int32),
    )


def test_alpha_is_krippendorffs_published_one():
    """0.815 for ordinal data, as in his paper of 2011 and in Hayes and Krippendorff's macro."""
    found = alpha_of(coincidences(KRIPPENDORFF_2011, [1, 2, 3, 4, 5]))
    assert found == pytest.approx(0.815, abs=0.0005)


def test_alpha_is_the_librarys_on_any_data():
    chance = np.random.default_rng(0)
    for _ in range(20):
        data = chance.integers(1, 6, size=(4, 30)).astype(float)
        data[chance.random(data.shape) < 0.3] = np.nan
        ours = alpha_of(coincidences(data, [1, 2, 3, 4, 5]))
        theirs = krippendorff.alpha(
            data, value_domain=[1, 2, 3, 4, 5], level_of_measurement="ordinal"
        )
        assert ours == pytest.approx(theirs, abs=1e-12)


def test_alpha_of_rankings_is_the_librarys_on_their_places():
    chance = np.random.default_rng(1)
    rankings = [chance.permutation(4) + 1 for _ in range(60)]
    table = table_of(rankings, labelers=[0, 1, 2] * 20, slates=np.repeat(range(20), 3))
    one, other = table.encounters
    found = alpha(table, one, other, np.full(len(one), 1 / 2))
    data = np.array(rankings).reshape(20, 3, 4).transpose(1, 0, 2).reshape(3, 80)
    assert found.value == pytest.approx(krippendorff.alpha(data, level_of_measurement="ordinal"))
    assert found.low < found.value < found.high


def test_places_of_ties_are_the_means_of_what_they_take_up():
    table = table_of([[1, 1, 1, 2], [1, 2, 3, 4], [1, 2, 2, 3]])
    assert table.mid_ranks[:, :4].tolist() == [[4, 4, 4, 8], [2, 4, 6, 8], [2, 5, 5, 8]]


def test_agreement_by_hand():
    """1 2 3 and 2 1 3 order three pairs, two alike; 1 1 2 ties one of them."""
    table = table_of([[1, 2, 3], [2, 1, 3], [1, 1, 2]])
    met = encounters(table, leanings(table))
    found = dict(zip(zip(met.one.tolist(), met.other.tolist(), strict=True), range(3), strict=True))
    assert met.total[found[0, 1]] == 3
    assert met.agreed[found[0, 1]] == 2
    assert met.total[found[0, 2]] == met.agreed[found[0, 2]] == 2
    assert met.apart[found[0, 1]] == pytest.approx(1 / 3)
    assert met.apart[found[0, 2]] == pytest.approx(1 / 6), "a tie against an order is one half"


def test_chance_is_one_half_for_people_who_lean_nowhere():
    chance = np.random.default_rng(2)
    rankings = [chance.permutation(4) + 1 for _ in range(400)]
    orders = [chance.permutation(4) for _ in range(400)]
    table = table_of(
        rankings, orders=orders, labelers=[0, 1] * 200, slates=np.repeat(range(200), 2)
    )
    met = encounters(table, leanings(table))
    assert met.chance.sum() / met.total.sum() == pytest.approx(0.5, abs=0.01)


def test_chance_is_all_where_both_take_what_is_shown_first_and_see_the_same_order():
    table = table_of([[1, 2, 3], [1, 2, 3]], orders=[[0, 1, 2]] * 2)
    met = encounters(table, leanings(table))
    assert met.chance.sum() == met.total.sum() == 3


def test_what_is_shown_first_and_what_is_longer():
    """Shown as C A B; ranked A, B, C: of three pairs A:B is won by the one shown first."""
    table = table_of([[1, 2, 3]], orders=[[1, 2, 0]], lengths=[[5, 9, 5]])
    found = leanings(table)
    assert (found.first[0], found.untied[0]) == (1, 3)
    assert (found.longer[0], found.uneven[0]) == (1, 2), "A beats the longer B, B beats C"


def test_a_share_has_the_interval_of_independent_slates():
    """600 of 800: 0.75 ± 1.96·sqrt(0.75·0.25/800) = 0.72 … 0.78."""
    top = np.r_[np.ones(600), np.zeros(200)]
    found = share(top, np.ones(800), np.arange(800))
    assert found.value == 0.75
    assert (found.low, found.high) == pytest.approx((0.72, 0.78), abs=0.006)


def test_slates_that_are_all_alike_still_have_an_interval():
    """Wilson's for 10 of 10: 0.722 to 1 (Brown, Cai and DasGupta 2001, section 3.1.1)."""
    found = share(np.full(10, 6.0), np.full(10, 6.0), np.arange(10))
    assert (found.low, found.high) == pytest.approx((0.722, 1.0), abs=0.001)
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def estimate(value, error=0.02, slates=100, **more):
    return Estimate(value=value, error=error, count=400, slates=slates, **more)


def test_what_is_beyond_chance_stands_out():
    found = judge(
        {("agreement", n): estimate(0.72) for n in range(11)} | {("agreement", 11): estimate(0.5)}
    )
    assert [key[1] for key, one in found.items() if one.stands_out] == [11]
    assert found["agreement", 11].reference == 0.72


def test_what_is_significant_and_small_does_not():
    figures = {("agreement", n): estimate(0.72, error=0.001) for n in range(11)}
    found = judge(figures | {("agreement", 11): estimate(0.70, error=0.001)})
    assert not any(one.stands_out for one in found.values())


def test_one_figure_in_twenty_outside_its_interval_is_nobody():
    """2.5 standard errors are rare for one figure and not for one of twelve."""
    figures = {("agreement", n): estimate(0.72, error=0.04) for n in range(11)}
    found = judge(figures | {("agreement", 11): estimate(0.62, error=0.04)})
    assert not any(one.stands_out for one in found.values())


def test_few_slates_are_not_judged():
    figures = {("agreement", n): estimate(0.72) for n in range(5)}
    found = judge(figures | {("agreement", 5): estimate(0.2, slates=5)})
    assert not any(one.stands_out for one in found.values())


def test_a_median_of_few_is_no_line_for_what_is_shown_first():
    """Others happen to have 55 %: 44 % is farther from that than from the half that is right."""
    figures = {("first-position", n): estimate(0.55) for n in range(3)}
    found = judge(figures | {("first-position", 3): estimate(0.44)})
    assert not found["first-position", 3].stands_out
    found = judge(figures | {("first-position", 3): estimate(0.3)})
    assert found["first-position", 3].stands_out


def test_who_shares_prompts_with_a_lover_of_length_is_not_the_odd_one():
    figures = {("longer", n): estimate(0.52, reference=0.52) for n in range(5)}
    found = judge(figures | {("longer", 5): estimate(0.48, reference=0.7)})
    assert not found["longer", 5].stands_out
    found = judge(figures | {("longer", 5): estimate(1.0, reference=0.52)})
    assert found["longer", 5].stands_out
