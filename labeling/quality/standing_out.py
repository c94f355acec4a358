"""Whose figures differ from the others' by more than chance, and by enough to matter.

Many figures of many labelers are looked at, and one in twenty lies outside its 95 % interval by
chance alone. So a figure stands out only where it lies so far from the line that not one of all
figures looked at would be expected there by chance (Bonferroni, α = 0.05), and by the least gap
that anybody would act on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, median

from labeling.models import QualityFigure
from labeling.quality.resampling import Estimate

Measure = QualityFigure.Measure
ALPHA = 0.05
FEWEST_SLATES = 15
"""Less is not judged."""
FEWEST_OTHERS = 2
"""Fewer others say nothing about what is usual."""


@dataclass(frozen=True)
class Line:
    """How a measure is judged. least: gap that matters. below, above: which side is."""

    least: float
    below: bool = True
    above: bool = True
    is_share: bool = True


LINES: Mapping[str, Line] = {
    Measure.AGREEMENT: Line(0.08, above=False),
    Measure.RELIABILITY: Line(0.15, above=False, is_share=False),
    Measure.FIRST_POSITION: Line(0.10),
    Measure.LONGER: Line(0.12),
    Measure.TOO_FAST: Line(0.15, below=False),
    Measure.GOLD: Line(0.12, above=False),
    Measure.REPEATS: Line(0.12, above=False),
    Measure.DRIFT: Line(0.12, above=False, is_share=False),
}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An estimate, the line it was measured by, and whether it lies beyond it."""

    estimate: Estimate
    reference: float | None
    stands_out: bool


def judge(found: Mapping[tuple[str, int], Estimate]) -> dict[tuple[str, int], Judged]:
    """Every figure by (measure, labeler), judged by the median of the other labelers' figures.

    An estimate that brings a reference along has to lie beyond that one as well, and what is shown
    first beyond one half: a median of few is chance too, and so are those one shares prompts with.
    """
    references = {key: _references(key, found) for key in found}
    looked_at = sum(
        key[0] in LINES and bool(own) and found[key].slates >= FEWEST_SLATES
        for key, own in references.items()
    )
    alpha = ALPHA / max(looked_at, 1)
    return {
        key: Judged(
            estimate=estimate,
            reference=references[key][0] if references[key] else None,
            stands_out=_beyond(key[0], estimate, references[key], alpha),
        )
        for key, estimate in found.items()
    }


def _references(key: tuple[str, int], found: Mapping[tuple[str, int], Estimate]) -> list[float]:
    """What a figure is held against; the first one is what people are told is usual."""
    measure, labeler = key
    own = found[key].reference
    references = [] if own is None else [own]
    others = [
        estimate.value
        for (name, who), estimate in found.items()
        if name == measure and who != labeler and estimate.slates >= FEWEST_SLATES
    ]
    if measure != Measure.DRIFT and len(others) >= FEWEST_OTHERS:
        references.append(median(others))
    if measure == Measure.FIRST_POSITION:
        references.append(0.5)
    return references


def _beyond(measure: str, estimate: Estimate, references: Sequence[float], alpha: float) -> bool:
    """Whether it lies beyond all of the references, on the same side."""
    line = LINES.get(measure)
    if line is None or not references or estimate.slates < FEWEST_SLATES:
        return False
    if len({estimate.value > reference for reference in references}) > 1:
        return False
    limit = NormalDist().inv_cdf(1 - alpha / (line.below + line.above))
    return all(_far(line, estimate, reference, limit) for reference in references)


def _far(line: Line, estimate: Estimate, reference: float, limit: float) -> bool:
    gap = estimate.value - reference
    if not (line.below if gap < 0 else line.above) or abs(gap) < line.least:
        return False
    error = estimate.error
    if line.is_share:  # at 0 % and 100 % a resample shows no spread: what the line would have
        error = max(error, sqrt(reference * (1 - reference) / max(estimate.count, 1)))
    return abs(gap) > limit * error
