"""How often labelers agree with each other about the same pair: the ceiling of a reward model."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from django.db.models import Q, QuerySet

from labeling.models import Project, Purpose, RankedCompletion, Ranking

MOST_SLATES = 2000
RESAMPLES = 1000
BLOCKS = 500
"""Slates are resampled one by one up to this many, in equal groups beyond: constant cost."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Shares from 0 to 1 with a 95 % interval."""

    rate: float
    low: float
    high: float
    pairs: int
    slates: int


def agreement_of(project: Project) -> Agreement | None:
    """Pairwise agreement of labelers on the newest slates that two or more ranked; None without.

    A pair of completions counts once for each two labelers, unless one of them tied it. The
    interval is by bootstrap over slates, since pairs of one slate are not independent. Only what
    every slate gets is counted: see `asked_of_all`.
    """
    counted = asked_of_all(project)
    shared = (
        Ranking.objects.current()
        .filter(
            counted,
            slate__project=project,
            slate__purpose__in=[Purpose.TRAINING, Purpose.EVALUATION],
            assignment__slot__gte=1,
        )
        .order_by("-slate_id")
        .values_list("slate_id", flat=True)
        .distinct()[:MOST_SLATES]
    )
    rankings = Ranking.objects.current().filter(counted, slate__in=list(shared))
    return summarised(agreeing_pairs(ranks) for ranks in _by_slate(rankings))


def asked_of_all(project: Project) -> Q:
    """Rankings of slots that their slates got whatever was said of them: agreement is over these.

    Where labelers disagree more of them are asked (`labeling.overlap`), and four make six pairs
    where two make one: with all of them counted, disputed slates would weigh most. Averaged by
    slate instead, disputes would be looked at again until they look better, and agreement never
    would. So a training slate counts with its first slots, as many as the project gives to each; a
    turn of a conversation is made with one.
    """
    if not project.is_adaptive:
        return Q()
    first = Q(assignment__slot__lt=project.overlap, slate__request__turn=None)
    return first | Q(assignment__slot=0) | ~Q(slate__purpose=Purpose.TRAINING)


def _by_slate(rankings: QuerySet[Ranking]) -> list[list[dict[int, int]]]:
    """Rankings of each slate, as ranks by completion id."""
    found: dict[int, dict[int, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    rows = RankedCompletion.objects.filter(ranking__in=rankings).values_list(
        "ranking__slate_id", "ranking_id", "completion_id", "rank"
    )
    for slate, ranking, completion, rank in rows.order_by("ranking__slate_id"):
        found[slate][ranking][completion] = rank
    return [list(rankings.values()) for rankings in found.values()]


def agreeing_pairs(rankings: Sequence[Mapping[int, int]]) -> tuple[int, int]:
    """Of one slate: (pairs on which two labelers agree, pairs that both of two labelers order).

    A better version that one of them wrote is in no pair: the other never saw it.
    """
    agreed = total = 0
    for one, other in combinations(rankings, 2):
        for a, b in combinations(sorted(one.keys() & other.keys()), 2):
            here, there = one[a] - one[b], other[a] - other[b]
            if here and there:
                total += 1
                agreed += (here > 0) == (there > 0)
    return agreed, total


def summarised(slates: Iterable[tuple[int, int]]) -> Agreement | None:
    """The rate over slates given as (agreed, total), with its interval. The same each time."""
    counts = [(agreed, total) for agreed, total in slates if total]
    if not counts:
        return None
    agreed = sum(count[0] for count in counts)
    total = sum(count[1] for count in counts)
    chance = random.Random(0)  # noqa: S311  # a bootstrap, not a secret
    chance.shuffle(counts)
    blocks = [
        (sum(c[0] for c in group), sum(c[1] for c in group))
        for group in (counts[start::BLOCKS] for start in range(min(BLOCKS, len(counts))))
    ]
    rates = []
    for _ in range(RESAMPLES):
        drawn = chance.choices(blocks, k=len(blocks))
        rates.append(sum(b[0] for b in drawn) / sum(b[1] for b in drawn))
    rates.sort()
    return Agreement(
        rate=agreed / total,
        low=rates[round(0.025 * (RESAMPLES - 1))],
        high=rates[round(0.975 * (RESAMPLES - 1))],
        pairs=total,
        slates=len(counts),
    )
