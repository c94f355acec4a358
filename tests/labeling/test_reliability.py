"""How far labelers can be relied on: by hand where that can be done, else on simulated truth."""

from __future__ import annotations

from math import exp, log, pi, sqrt

import numpy as np
import pytest

from labeling.quality.reliability import Votes, fit
from labeling.weights import suggested_weight


def votes(rows):
    """(pair, labeler, up), pairs standing together; each pair a slate of its own."""
    pair, labeler, up = np.array(rows).T
    return Votes(pair=pair, labeler=labeler, up=up > 0, slate=pair)


def simulated(reliabilities, *, pairs, each, spread, seed):
    """Votes by the model itself."""
    chance = np.random.default_rng(seed)
    rows = []
    for pair in range(pairs):
        d = chance.normal(0, spread)
        for who in chance.permutation(len(reliabilities))[:each]:
            up = chance.random() < 1 / (1 + exp(-d))
            if chance.random() > reliabilities[who]:
                up = not up
            rows.append((pair, who, up))
    return votes(rows)


def test_it_finds_what_the_votes_were_made_with():
    truth = [0.97] * 6 + [0.75, 0.5]
    found = fit(simulated(truth, pairs=6000, each=3, spread=3.0, seed=0), 8)
    assert found.eta == pytest.approx(truth, abs=0.05)
    assert np.all(np.abs(found.eta - truth) < 4 * found.error + 0.005)


def test_two_labelers_are_what_a_plain_search_finds():
    """70 pairs alike, 30 not. Integrated and searched without the product's code."""
    rows = [(pair, who, who == 0 or pair < 70) for pair in range(100) for who in (0, 1)]
    found = fit(votes(rows), 2)
    step = found.spread / 200
    ds = [(-1200 + n) * step for n in range(2401)]
    weights = [
        exp(-((d / found.spread) ** 2) / 2) / (found.spread * sqrt(2 * pi)) * step for d in ds
    ]

    def probability(eta):
        total = 2 * 8 * log(eta)  # Beta(9, 1), of both
        for alike, number in ((True, 70), (False, 30)):
            chance = 0.0
            for d, weight in zip(ds, weights, strict=True):
                up = eta / (1 + exp(-d)) + (1 - eta) / (1 + exp(d))
                chance += weight * up * (up if alike else 1 - up)
            total += number * log(chance)
        return total

    best = max((n / 200 for n in range(101, 200)), key=probability)
    assert found.eta == pytest.approx([best, best], abs=0.02)


def test_who_shares_no_pair_is_unknown():
    found = fit(votes([(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1)]), 3)
    assert np.isnan(found.eta[2])
    assert not np.isnan(found.eta[:2]).any()


def test_no_votes_say_nothing():
    nothing = np.zeros(0, int)
    found = fit(Votes(pair=nothing, labeler=nothing, up=nothing > 0, slate=nothing), 2)
    assert np.isnan(found.eta).all()


def test_a_suggested_weight_is_the_share_of_log_odds():
    """log(0.6/0.4)/log(0.9/0.1) = 0.405/2.197 = 0.18, in steps of 0.05."""
    assert suggested_weight(0.6, 0.9) == 0.2
    assert suggested_weight(0.95, 0.9) == 1
    assert suggested_weight(0.5, 0.9) == suggested_weight(0.3, 0.9) == 0
    assert suggested_weight(0.4, 0.5) == 1, "where nobody can be told from chance, nobody loses"
