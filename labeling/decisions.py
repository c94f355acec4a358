"""What is held to be right of a slate: decided once, decided anew, compared with a ranking.

Of a training slate it is an adjudicator's word, of a gold, quiz or practice slate the known answer.
Knows nothing of what follows from a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from labeling.completions import storable
from labeling.judgements import BadJudgement, dense_ranks
from labeling.models import DecidedRank, Decision, Slate, User

LONGEST_EXPLANATION = 20_000
"""Characters."""


def decide(*, slate: Slate, by: User, ranks: Mapping[int, int], explanation: str = "") -> Decision:
    """Say what is right of `slate`; what was decided before is kept behind it, as `replaces`.

    ranks: by completion id, 1 is best, equal ranks are ties; gaps are closed. explanation: in
    Markdown. Said twice, it is stored once. Raises BadRanks, BadJudgement.
    """
    dense = dense_ranks(ranks, slate.items.values_list("completion_id", flat=True))
    said = storable(explanation.replace("\r\n", "\n").strip())
    if len(said) > LONGEST_EXPLANATION:
        raise BadJudgement(
            "explanation",
            _("The explanation is longer than %(most)s characters."),
            most=LONGEST_EXPLANATION,
        )
    with transaction.atomic():
        Slate.objects.select_for_update(no_key=True).get(pk=slate.pk)
        before = slate.decisions.filter(is_current=True).first()
        if before is not None and before.explanation == said and decided(before) == dense:
            return before
        slate.decisions.filter(is_current=True).update(is_current=False)
        decision = Decision.objects.create(
            slate=slate, decided_by=by, replaces=before, explanation=said
        )
        DecidedRank.objects.bulk_create(
            DecidedRank(decision=decision, completion_id=pk, rank=rank)
            for pk, rank in sorted(dense.items(), key=lambda pair: (pair[1], pair[0]))
        )
    return decision


def decision_of(slate: Slate) -> Decision | None:
    """What stands; of a slate that repeats another one without a word of its own, that one's."""
    chosen = Decision.objects.filter(is_current=True, slate__in=[slate.pk, slate.repeats_id])
    found = {decision.slate_id: decision for decision in chosen.prefetch_related("ranks")}
    return found.get(slate.pk) or found.get(slate.repeats_id or 0)


def decided(decision: Decision) -> dict[int, int]:
    """The ranks of a decision by completion id."""
    return {row.completion_id: row.rank for row in decision.ranks.all()}


def right_share(ranks: Mapping[int, int], right: Mapping[int, int]) -> float | None:
    """The share of the pairs that are untied in `right` which `ranks` orders alike, 0 to 1.

    Both by completion id; `ranks` may hold more completions. A pair that `ranks` ties counts one
    half. None where `right` ties all.
    """
    scores = [
        _likeness(ranks[one] - ranks[other], right[one] - right[other])
        for one, other in combinations(right, 2)
        if right[one] != right[other]
    ]
    return sum(scores) / len(scores) if scores else None


def _likeness(said: int, right: int) -> float:
    """Of two differences in rank: 1 of one sign, one half if `said` is a tie, else 0."""
    if said == 0:
        return 0.5
    return float((said > 0) == (right > 0))
