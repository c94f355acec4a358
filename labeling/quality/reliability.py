"""How far each labeler can be relied on, without knowing any right answer.

The model of Chen, Bennett, Collins-Thompson and Horvitz, 'Pairwise ranking aggregation in a
crowdsourced setting' (WSDM 2013), "CrowdBT": labeler k puts i above j with probability
η_k·σ(s_i − s_j) + (1 − η_k)·σ(s_j − s_i). η is 1 for somebody who always means what the scores say,
½ for somebody who says nothing, 0 for somebody who turns every pair round.

There a completion meets many labelers, here two or three: scores that are fitted to so few explain
whatever they said, and everybody looks reliable. So the scores are summed over, not fitted: of each
pair the difference d = s_i − s_j is normal around 0, and η is the most probable one over all d
(marginal maximum likelihood with a Beta prior, by EM; pairs as in a composite likelihood).

Votes in, numbers out; knows nothing of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.quality.table import MOST, Floats, Ints, Table
from labeling.weights import MOST_RELIABLE

SPREADS = (1.0, 1.5, 2.0, 3.0, 4.5)
"""Candidates for the standard deviation of d; the most probable one is taken."""
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
"""Of the Gauss-Hermite sum over d."""
GOOD, BAD = 9.0, 1.0
"""The prior Beta(9, 1) of η: as if each had meant it eight times before."""
ROUNDS = 200
NEAR = 1e-4
CHUNK = 200_000
"""Votes looked at together."""
SAMPLE = 120_000
"""Votes that the spread is chosen on."""
MOST_VOTES = 3_000_000
"""The newest ones are taken: beyond that η is known to the third digit."""


@dataclass(frozen=True, kw_only=True)
class Votes:
    """Columns, a row for each labeler's word on a pair; those on one pair stand together.

    up: whether the pair's first completion was put above its second one.
    """

    pair: Ints
    labeler: Ints
    up: NDArray[np.bool_]
    slate: Ints

    def __len__(self) -> int:
        return len(self.pair)


class Reliability(NamedTuple):
    """eta, error: (labelers,), nan for whoever shares no pair with others. spread: of d."""

    eta: Floats
    error: Floats
    votes: Ints
    spread: float


def votes_of(table: Table) -> Votes:
    """Every order of a pair that somebody else of the slate ordered, too; gold items left out."""
    of_slate = np.bincount(table.slate, minlength=len(table.slates))
    rows = np.flatnonzero(~table.gold & (of_slate[table.slate] > 1))
    found = []
    for number, (i, j) in enumerate(combinations(range(MOST), 2)):
        left, right = table.ranks[rows, i].astype(int), table.ranks[rows, j].astype(int)
        kept = (left > 0) & (right > 0) & (left != right)
        chosen = rows[kept]
        pair = table.slate[chosen] * MOST * MOST + number
        found.append(np.stack([pair, table.labeler[chosen], (left < right)[kept]]))
    pair, labeler, up = np.concatenate(found, axis=1)
    order = np.argsort(pair, kind="stable")[-MOST_VOTES:]
    pair, labeler, up = pair[order], labeler[order], up[order]
    _kinds, place, counts = np.unique(pair, return_inverse=True, return_counts=True)
    shared = counts[place] > 1
    return Votes(
        pair=pair[shared],
        labeler=labeler[shared],
        up=up[shared] > 0,
        slate=pair[shared] // (MOST * MOST),
    )


def fit(votes: Votes, labelers: int) -> Reliability:
    """The reliability of each of so many labelers, with a standard error that knows of slates."""
    count = np.bincount(votes.labeler, minlength=labelers)
    known = count > 0
    if not known.any():
        nothing = np.full(labelers, np.nan)
        return Reliability(nothing, nothing, count, SPREADS[0])
    sample = _newest(votes, SAMPLE)
    eta, spread, best = np.full(labelers, GOOD / (GOOD + BAD)), SPREADS[0], -np.inf
    for candidate in SPREADS:
        tried, probability = _fit(sample, labelers, candidate, begin=eta, near=10 * NEAR)
        if probability < best:
            break
        eta, spread, best = tried, candidate, probability
    eta, _probability = _fit(votes, labelers, spread, begin=eta, near=NEAR)
    error = _errors(votes, eta, spread)
    return Reliability(np.where(known, eta, np.nan), np.where(known, error, np.nan), count, spread)


def _newest(votes: Votes, most: int) -> Votes:
    """The last votes, all of a pair or none."""
    if len(votes) <= most:
        return votes
    first = int(np.searchsorted(votes.pair, votes.pair[-most]))
    return _part(votes, slice(first, None))


def _part(votes: Votes, rows: slice) -> Votes:
    return Votes(
        pair=votes.pair[rows],
        labeler=votes.labeler[rows],
        up=votes.up[rows],
        slate=votes.slate[rows],
    )


def _chunks(votes: Votes) -> Iterator[Votes]:
    """All votes, about CHUNK at a time, those on one pair together."""
    first = 0
    while first < len(votes):
        last = min(first + CHUNK, len(votes))
        if last < len(votes):
            last = int(np.searchsorted(votes.pair, votes.pair[last - 1], side="right"))
        yield _part(votes, slice(first, last))
        first = last


class _Posterior(NamedTuple):
    """Of one chunk, over the nodes of d."""

    share: Floats
    """(votes, nodes): how probable each d is, given all votes on the pair."""
    meant: Floats
    """(votes, nodes): σ of d in the direction of the vote."""
    chance: Floats
    """(votes, nodes): of the vote."""
    likelihood: float


def _posterior(votes: Votes, eta: Floats, spread: float) -> _Posterior:
    direction = np.where(votes.up, 1.0, -1.0)[:, None]
    meant = 1 / (1 + np.exp(-direction * NODES * spread))
    own = eta[votes.labeler][:, None]
    chance = own * meant + (1 - own) * (1 - meant)
    first = np.flatnonzero(np.r_[True, votes.pair[1:] != votes.pair[:-1]])
    logs = np.add.reduceat(np.log(chance), first, axis=0) + np.log(
        NODE_WEIGHTS / NODE_WEIGHTS.sum()
    )
    most = logs.max(axis=1, keepdims=True)
    shares = np.exp(logs - most)
    totals = shares.sum(axis=1, keepdims=True)
    of_vote = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(votes)]))
    return _Posterior(
        share=(shares / totals)[of_vote],
        meant=meant,
        chance=chance,
        likelihood=float((np.log(totals) + most).sum()),
    )


def _fit(
    votes: Votes, labelers: int, spread: float, *, begin: Floats, near: float
) -> tuple[Floats, float]:
    """EM for a given spread: η, and the log of its posterior probability."""
    count = np.bincount(votes.labeler, minlength=labelers)
    eta, probability = begin, 0.0
    for _round in range(ROUNDS):
        meant, probability = np.zeros(labelers), 0.0
        for part in _chunks(votes):
            found = _posterior(part, eta, spread)
            own = eta[part.labeler][:, None]
            # How probable it is that the labeler meant the scores, not their opposite.
            share = (found.share * own * found.meant / found.chance).sum(axis=1)
            meant += np.bincount(part.labeler, weights=share, minlength=labelers)
            probability += found.likelihood
        probability += float(((GOOD - 1) * np.log(eta) + (BAD - 1) * np.log(1 - eta)).sum())
        fresh = (meant + GOOD - 1) / (count + GOOD + BAD - 2)
        fresh = np.minimum(fresh, MOST_RELIABLE)
        moved = float(np.abs(fresh - eta).max())
        eta = fresh
        if moved < near:
            break
    return eta, probability


def _errors(votes: Votes, eta: Floats, spread: float) -> Floats:
    """Standard errors from the slopes at each vote, summed by slate: those hang together."""
    labelers = len(eta)
    information, spreading = np.zeros(labelers), np.zeros(labelers)
    for part in _chunks(votes):
        found = _posterior(part, eta, spread)
        slope = (found.share * (2 * found.meant - 1) / found.chance).sum(axis=1)
        information += np.bincount(part.labeler, weights=slope**2, minlength=labelers)
        cell = part.slate * labelers + part.labeler
        cells, place = np.unique(cell, return_inverse=True)
        sums = np.bincount(place, weights=slope)
        spreading += np.bincount(cells % labelers, weights=sums**2, minlength=labelers)
    return np.asarray(np.sqrt(spreading) / np.maximum(information, 1e-9))
