"""What the figures of a quality report say, in words and with no more digits than they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.models import QualityFigure

Measure = QualityFigure.Measure
DASH = "–"
PERCENT, SECONDS, NUMBER, POINTS = "percent", "seconds", "number", "points"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How a measure is drawn and explained. start, end: of the picture; reference: its line."""

    measure: str
    name: object
    explained: object
    start: float = 0.0
    end: float = 1.0
    reference: float | None = None
    unit: str = PERCENT


SHOWN: Mapping[str, Shown] = {
    one.measure: one
    for one in (
        Shown(
            measure=Measure.AGREEMENT,
            name=gettext_lazy("Agreement"),
            explained=gettext_lazy(
                "How often a labeler orders a pair as the others do who ranked it; ties are left "
                "out. Half would be chance. Where more labelers are asked because of a dispute, "
                "only the first ones count, as many as every prompt gets."
            ),
            reference=0.5,
        ),
        Shown(
            measure=Measure.ALPHA,
            name=gettext_lazy("Alpha"),
            explained=gettext_lazy(
                "Krippendorff's alpha (ordinal) with all others: 1 is full agreement, 0 is what "
                "chance gives; ties count."
            ),
            start=-0.5,
            reference=0.0,
            unit=NUMBER,
        ),
        Shown(
            measure=Measure.RELIABILITY,
            name=gettext_lazy("Reliability"),
            explained=gettext_lazy(
                "An estimate (CrowdBT) from everybody's rankings of how often a labeler means what "
                "the texts call for: 100 % always, 50 % never more than by chance. Suggested "
                "weights come from it."
            ),
            reference=0.5,
        ),
        Shown(
            measure=Measure.FIRST_POSITION,
            name=gettext_lazy("Position"),
            explained=gettext_lazy(
                "How often, of two completions, the one shown first wins. The order is shuffled "
                "for everybody: half is right."
            ),
            reference=0.5,
        ),
        Shown(
            measure=Measure.LONGER,
            name=gettext_lazy("Length"),
            explained=gettext_lazy(
                "How often the longer of two completions wins, beside what others say of the same "
                "pairs. Longer may be better: what counts is the difference to the others."
            ),
            reference=0.5,
        ),
        Shown(
            measure=Measure.SECONDS_P50,
            name=gettext_lazy("Seconds"),
            explained=gettext_lazy(
                "Active seconds for a ranking: the median, and the range from the 10th to the 90th "
                "percentile."
            ),
            unit=SECONDS,
        ),
        Shown(
            measure=Measure.TOO_FAST,
            name=gettext_lazy("Too fast"),
            explained=gettext_lazy(
                "The share of rankings that came faster than their completions can be read, at "
                "500 words (720 Chinese or Japanese characters) a minute: twice what people read "
                "with understanding."
            ),
        ),
        Shown(
            measure=Measure.GOLD,
            name=gettext_lazy("Gold"),
            explained=gettext_lazy(
                "On items whose answer is known: the share of pairs that were ordered right."
            ),
            reference=0.5,
        ),
        Shown(
            measure=Measure.REPEATS,
            name=gettext_lazy("Repeats"),
            explained=gettext_lazy(
                "On texts that the labeler had ranked before: the share of pairs ordered the same "
                "way again."
            ),
            reference=0.5,
        ),
        Shown(
            measure=Measure.DRIFT,
            name=gettext_lazy("Drift"),
            explained=gettext_lazy(
                "How much the agreement with others changed from the older half of a labeler's "
                "shared prompts to the newer half, in percentage points."
            ),
            start=-0.5,
            end=0.5,
            reference=0.0,
            unit=POINTS,
        ),
    )
}
"""In the order of the page."""


def said(value: float | None, unit: str = PERCENT) -> str:
    """A figure's value."""
    if value is None:
        return DASH
    match unit:
        case "seconds":
            return _("%(n)s s") % {"n": number_format(round(value))}
        case "number":
            return number_format(round(value, 2), decimal_pos=2)
        case "points":
            return f"{round(value * 100):+d}".replace("-", "−")
        case _:
            return f"{round(value * 100)} %"


def between(low: float | None, high: float | None, unit: str = PERCENT) -> str:
    """An interval; empty where one end is missing."""
    if low is None or high is None:
        return ""
    if unit == PERCENT:
        ends = {"low": round(low * 100), "high": round(high * 100)}
        return _("%(low)s to %(high)s %%") % ends
    return _("%(low)s to %(high)s") % {"low": said(low, unit), "high": said(high, unit)}


SENTENCES: Mapping[tuple[str, bool], object] = {
    (Measure.AGREEMENT, False): gettext_lazy(
        "agrees with others less often than is usual here: %(value)s (%(interval)s), "
        "usual is %(usual)s"
    ),
    (Measure.RELIABILITY, False): gettext_lazy(
        "estimated reliability is lower than is usual here: %(value)s (%(interval)s), "
        "usual is %(usual)s, and 50 %% is chance"
    ),
    (Measure.FIRST_POSITION, True): gettext_lazy(
        "chooses the first far more often than others: %(value)s (%(interval)s), others %(usual)s"
    ),
    (Measure.FIRST_POSITION, False): gettext_lazy(
        "chooses the first far less often than others: %(value)s (%(interval)s), others %(usual)s"
    ),
    (Measure.LONGER, True): gettext_lazy(
        "chooses the longer one far more often than others on the same pairs: "
        "%(value)s (%(interval)s), others %(usual)s"
    ),
    (Measure.LONGER, False): gettext_lazy(
        "chooses the longer one far less often than others on the same pairs: "
        "%(value)s (%(interval)s), others %(usual)s"
    ),
    (Measure.TOO_FAST, True): gettext_lazy(
        "many rankings came faster than the completions can be read: %(value)s (%(interval)s), "
        "others %(usual)s"
    ),
    (Measure.GOLD, False): gettext_lazy(
        "is right on gold items less often than others: %(value)s (%(interval)s), others %(usual)s"
    ),
    (Measure.REPEATS, False): gettext_lazy(
        "orders the same pairs the same way again less often than others: "
        "%(value)s (%(interval)s), others %(usual)s"
    ),
    (Measure.DRIFT, False): gettext_lazy(
        "agrees with others less than before: by %(value)s points (%(interval)s)"
    ),
}
"""By measure, and whether it lies above what is usual."""


def sentence(figure: QualityFigure) -> str:
    """What stands out in a figure. It says what was seen, not why it is so."""
    above = figure.value > (figure.reference or 0.0)
    words = str(SENTENCES.get((figure.measure, above), figure.get_measure_display()))
    unit = SHOWN[figure.measure].unit
    return words % {
        "value": said(figure.value, unit),
        "interval": between(figure.low, figure.high, unit),
        "usual": said(figure.reference, unit),
    }
