"""Which curves matter for which kind of run, in which unit, and where they are healthy.

Healthy ranges are rules of thumb from the field (facts: 'PPO for language models'), shaded behind
the curve so that a person sees at once what leaves them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from training.models import Run, RunMetric


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One metric's picture."""

    name: str
    title: Any
    unit: Any = ""
    low: float | None = None
    high: float | None = None


WINS = _("by the judge, development prompts")
VARIETY = _("share of word pairs, development")
PPO = (
    Curve(name="reward", title=_("Reward"), unit=_("mean per completion, KL taken off")),
    Curve(name="score", title=_("Score"), unit=_("reward model, base = 0 ± 1")),
    Curve(name="kl", title=_("KL to the base"), unit=_("nats per completion"), low=0),
    Curve(name="entropy", title=_("Entropy"), unit=_("nats per token")),
    Curve(name="length", title=_("Length"), unit=_("tokens")),
    Curve(name="finished_share", title=_("Ends by itself"), unit=_("share of completions")),
    Curve(name="clip_share", title=_("Clip share"), unit=_("share of tokens"), low=0, high=0.3),
    Curve(name="update_kl", title=_("Way of an update"), unit=_("nats per token, k3"), low=0),
    Curve(name="uncertainty", title=_("Unlike what was ranked"), unit=_("score, 1 sd")),
    Curve(name="explained_variance", title=_("Explained variance"), unit=_("1 is best")),
    Curve(name="learning_rate", title=_("Learning rate")),
    Curve(name="gradient_norm", title=_("Gradient norm"), unit=_("before clipping")),
    Curve(name="value_loss", title=_("Value loss")),
    Curve(name="beta", title=_("KL coefficient β"), unit=_("per nat")),
    Curve(name="judge_win_rate", title=_("Win rate"), unit=WINS),
    Curve(name="distinct2", title=_("Distinct-2"), unit=VARIETY),
)
REWARD = (
    Curve(name="loss", title=_("Loss"), unit=_("nats per pair")),
    Curve(name="accuracy", title=_("Accuracy"), unit=_("share of pairs"), low=0.5, high=1),
    Curve(name="learning_rate", title=_("Learning rate")),
    Curve(name="gradient_norm", title=_("Gradient norm"), unit=_("before clipping")),
    Curve(name="features", title=_("Features"), unit=_("share of completions read")),
)
CURVES: dict[str, tuple[Curve, ...]] = {
    Run.Kind.SFT: (
        Curve(name="loss", title=_("Loss"), unit=_("nats per token")),
        Curve(name="validation_loss", title=_("Held-out loss"), unit=_("nats per token")),
        Curve(name="reward_score", title=_("Score"), unit=_("reward model, base = 0 ± 1")),
        Curve(name="learning_rate", title=_("Learning rate")),
        Curve(name="gradient_norm", title=_("Gradient norm"), unit=_("before clipping")),
    ),
    Run.Kind.REWARD: REWARD,
    Run.Kind.JUDGE: REWARD,
    Run.Kind.PPO: PPO,
    Run.Kind.GRPO: PPO,
    Run.Kind.REJECTION: (
        Curve(name="score", title=_("Score"), unit=_("reward model, base = 0 ± 1")),
        Curve(name="best_score", title=_("Score of the winners"), unit=_("best of n")),
        Curve(name="loss", title=_("Loss"), unit=_("nats per token")),
        Curve(name="development_score", title=_("Score, development prompts")),
        Curve(name="development_kl", title=_("KL to the base"), unit=_("nats per completion")),
        Curve(name="development_length", title=_("Length"), unit=_("tokens")),
        Curve(name="judge_win_rate", title=_("Win rate"), unit=WINS),
        Curve(name="distinct2", title=_("Distinct-2"), unit=VARIETY),
        Curve(name="learning_rate", title=_("Learning rate")),
        Curve(name="gradient_norm", title=_("Gradient norm"), unit=_("before clipping")),
    ),
    Run.Kind.DPO: (
        Curve(name="loss", title=_("Loss"), unit=_("nats per pair")),
        Curve(name="accuracy", title=_("Accuracy"), unit=_("share of pairs"), low=0.5, high=1),
        Curve(name="held_out_accuracy", title=_("Held-out accuracy"), unit=_("share of pairs")),
        Curve(name="development_kl", title=_("KL to the base"), unit=_("nats per completion")),
        Curve(name="development_length", title=_("Length"), unit=_("tokens")),
        Curve(name="judge_win_rate", title=_("Win rate"), unit=WINS),
        Curve(name="distinct2", title=_("Distinct-2"), unit=VARIETY),
        Curve(name="learning_rate", title=_("Learning rate")),
        Curve(name="gradient_norm", title=_("Gradient norm"), unit=_("before clipping")),
    ),
    Run.Kind.BEST_OF: (),
    Run.Kind.EVALUATE: (),
}


def curves_of(run: Run) -> tuple[Curve, ...]:
    """The curves of this run's kind; the KL one knows the run's own limit."""
    limit = run.config.get("kl_limit")
    return tuple(
        Curve(name=c.name, title=c.title, unit=c.unit, low=0, high=float(limit))
        if c.name == "kl" and isinstance(limit, int | float)
        else c
        for c in CURVES.get(run.kind, ())
    )


def points_of(rows: Iterable[RunMetric]) -> dict[str, list[list[float]]]:
    """Metrics as {name: [[step, value], …]}, steps rising."""
    points: dict[str, list[list[float]]] = {}
    for row in rows:
        points.setdefault(row.name, []).append([row.step, row.value])
    return points


def panels(known: tuple[Curve, ...], points: dict[str, list[list[float]]]) -> list[dict[str, Any]]:
    """What charts.js draws, most telling first; numbers without a description come last."""
    described = {curve.name for curve in known}
    ordered = [
        *(curve for curve in known if curve.name in points),
        *(Curve(name=n, title=n.replace("_", " ")) for n in sorted(points) if n not in described),
    ]
    return [
        {
            "name": curve.name,
            "title": str(curve.title),
            "unit": str(curve.unit),
            "low": curve.low,
            "high": curve.high,
            "main": curve.name in described,
        }
        for curve in ordered
    ]


def chart_words() -> dict[str, str]:
    """The words that charts.js needs, translated."""
    return {
        "step": gettext("step"),
        "healthy": gettext("shaded: healthy range"),
        "none": gettext("no value at this step"),
    }
