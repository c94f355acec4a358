"""What must hold before a policy answers, what holds, and what is missing: in words.

Never judged by the reward model that gave the reward: the judge's numbers, or labelers' blind
votes where there are enough. Knows nothing of deploying.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _

from training.evaluations import (
    blind_slates,
    blind_vote_is_complete,
    blind_win_rate,
    look_alpha,
)
from training.models import Evaluation, Plan
from training.plans import plan_of
from training.win_rates import WinRate

MIN_COMPARISONS = 20
"""An interval from fewer prompts than this says too little to deploy by itself."""
MIN_MORE_RANKINGS = 50
MAX_MORE_RANKINGS = 5_000


@dataclass(frozen=True, kw_only=True)
class Point:
    """One thing that must hold, with the sentence that says whether it does."""

    name: str
    holds: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Gate:
    """All points, and who compared the policies."""

    points: tuple[Point, ...]
    judged_by: str
    """'judge' or 'labelers'."""
    blind: WinRate | None

    @property
    def holds(self) -> bool:
        """True where every point holds."""
        return all(point.holds for point in self.points)

    @property
    def missing(self) -> tuple[Point, ...]:
        """The points that don't hold."""
        return tuple(point for point in self.points if not point.holds)


def gate_of(evaluation: Evaluation) -> Gate:
    """Hold an evaluation against its project's plan.

    The k-th evaluation of a project has `evaluations.look_alpha`, which sums to α however many
    there are. That holds only where each is looked at once: so labelers replace the judge when all
    the comparisons that they were asked for are answered, a number that is settled before the
    first vote (`evaluations.open_blind_slates`), never as soon as the votes so far look well. Until
    then the judge's numbers stand, and deploy nothing by themselves where the plan asks labelers:
    two looks at one α would be one too many.
    """
    plan = plan_of(evaluation.run.project)
    blind = blind_win_rate(evaluation, alpha=look_alpha(evaluation))
    enough = blind is not None and blind.comparisons >= plan.blind_enough
    by_labelers = enough and blind_vote_is_complete(evaluation)
    points = [
        _wins_by_labelers(evaluation, blind)
        if by_labelers and blind is not None
        else _wins(evaluation),
        _kl(evaluation, plan),
        _length(evaluation, plan),
        _distinct(evaluation, plan),
    ]
    if plan.blind_slates and not by_labelers:
        points.append(_asked_first(evaluation, blind, plan))
    return Gate(points=tuple(points), judged_by="labelers" if by_labelers else "judge", blind=blind)


def _wins(evaluation: Evaluation) -> Point:
    low, rate = evaluation.win_sure, evaluation.win_rate
    if low is None or rate is None:
        return Point(name="wins", holds=False, sentence=_("The policies were not compared."))
    values = {"rate": f"{rate:.0%}", "low": f"{low:.0%}", "look": evaluation.look}
    if evaluation.prompts < MIN_COMPARISONS:
        few = {"found": evaluation.prompts, "needed": MIN_COMPARISONS}
        sentence = _(
            "Only %(found)s prompts were compared; to deploy by itself takes at least %(needed)s. "
            "Add prompts: about one in six is kept for evaluation."
        )
        return Point(name="wins", holds=False, sentence=sentence % few)
    holds = low > 0.5
    sentence = (
        _("The judge prefers it to the deployed policy in %(rate)s of prompts, surely over half.")
        if holds
        else _(
            "The judge prefers it to the deployed policy in %(rate)s of prompts; as sure as look "
            "%(look)s has to be, in %(low)s, which is not above 50%%."
        )
    )
    return Point(name="wins", holds=holds, sentence=sentence % values)


def _asked_first(evaluation: Evaluation, blind: WinRate | None, plan: Plan) -> Point:
    """Where the plan asks labelers, the judge alone deploys nothing."""
    asked = blind_slates(evaluation).count()
    values = {
        "done": 0 if blind is None else blind.comparisons,
        "asked": asked,
        "enough": plan.blind_enough,
    }
    sentence = (
        _(
            "Labelers are asked first: they have made %(done)s of %(asked)s blind comparisons, and "
            "decide once all are made."
        )
        if asked >= plan.blind_enough
        else _(
            "Labelers are to be asked first, in at least %(enough)s blind comparisons; there are "
            "%(asked)s of texts that differ. Ask for more, or decide yourself."
        )
    )
    return Point(name="blind", holds=False, sentence=sentence % values)


def _wins_by_labelers(evaluation: Evaluation, blind: WinRate) -> Point:
    values = {
        "rate": f"{blind.rate:.0%}",
        "low": f"{blind.low:.0%}",
        "count": blind.comparisons,
        "look": evaluation.look,
    }
    holds = blind.low > 0.5
    sentence = (
        _("Labelers prefer it in %(rate)s of %(count)s blind comparisons, surely over half.")
        if holds
        else _(
            "Labelers prefer it in %(rate)s of %(count)s blind comparisons; as sure as look "
            "%(look)s has to be, in %(low)s, which is not above 50%%."
        )
    )
    return Point(name="wins", holds=holds, sentence=sentence % values)


def _kl(evaluation: Evaluation, plan: Plan) -> Point:
    kl = evaluation.kl
    holds = kl is not None and kl <= plan.kl_limit
    values = {"kl": "–" if kl is None else f"{kl:.1f}", "limit": f"{plan.kl_limit:g}"}
    sentence = (
        _("It is %(kl)s nats from the base, within the limit of %(limit)s.")
        if holds
        else _("It is %(kl)s nats from the base; the limit is %(limit)s.")
    )
    return Point(name="kl", holds=holds, sentence=sentence % values)


def _length(evaluation: Evaluation, plan: Plan) -> Point:
    length, base = evaluation.length, evaluation.base_length
    ratio = length / base if length is not None and base else None
    holds = ratio is not None and 1 / plan.length_ratio <= ratio <= plan.length_ratio
    values = {
        "ratio": "–" if ratio is None else f"{ratio:.2f}",
        "low": f"{1 / plan.length_ratio:.2f}",
        "high": f"{plan.length_ratio:.2f}",
    }
    sentence = (
        _("Its texts are %(ratio)s times as long as the base's, within %(low)s to %(high)s.")
        if holds
        else _(
            "Its texts are %(ratio)s times as long as the base's; %(low)s to %(high)s is allowed."
        )
    )
    return Point(name="length", holds=holds, sentence=sentence % values)


def _distinct(evaluation: Evaluation, plan: Plan) -> Point:
    distinct, base = evaluation.distinct2, evaluation.base_distinct2
    share = distinct / base if distinct is not None and base else None
    holds = share is not None and share >= plan.distinct_share
    values = {
        "share": "–" if share is None else f"{share:.0%}",
        "limit": f"{plan.distinct_share:.0%}",
    }
    sentence = (
        _("It keeps %(share)s of the base's variety of words; at least %(limit)s is asked for.")
        if holds
        else _("It keeps only %(share)s of the base's variety of words; %(limit)s is asked for.")
    )
    return Point(name="distinct", holds=holds, sentence=sentence % values)


def reward_model_holds(results: Mapping[str, float]) -> bool:
    """Before PPO, first: the out-of-fold accuracy is surely above chance."""
    return results.get("oof_low", 0.0) > 0.5


def best_of_holds(results: Mapping[str, float]) -> bool:
    """Before PPO, second: best-of-n by the reward model surely beats the base under the judge."""
    return results.get("best_of_win_sure", 0.0) > 0.5


def half_as_many_again(rankings: int) -> int:
    """How many more rankings to ask for where nothing says how many would do."""
    return max(MIN_MORE_RANKINGS, math.ceil(rankings / 20) * 10)


def more_rankings_needed(*, rankings: int, value: float | None, low: float | None) -> int:
    """How many more rankings would put the lower bound above one half, at this value.

    An interval's half-width falls with the square root of the number of rankings. Where the value
    itself is not above one half: as many again. Rounded up to tens, within sensible bounds.
    """
    wanted = float(max(rankings, MIN_MORE_RANKINGS))
    if value is not None and low is not None and value > 0.5 and value > low:
        wanted = rankings * ((value - low) / (value - 0.5)) ** 2 - rankings
    bounded = min(max(wanted, MIN_MORE_RANKINGS), MAX_MORE_RANKINGS)
    return math.ceil(bounded / 10) * 10
