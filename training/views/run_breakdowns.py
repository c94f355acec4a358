"""Where a reward model is right, as dots with intervals: what the page of its run shows."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.views.drawing import Dot
from training.models import Run, RunBreakdown

MOST_SHOWN = 20
"""Of the parts of one kind, those with the most pairs."""


def breakdowns_of(run: Run) -> list[tuple[str, str, list[Dot]]]:
    """(title, what the mark on the line is, dots) for each way of parting its held-out pairs.

    People go by their pseudonyms, as in the files that a run was made from.
    """
    rows = list(run.breakdown.all())
    found = []
    for by in RunBreakdown.By:
        own = [row for row in rows if row.by == by]
        chosen = sorted(own, key=lambda row: -row.pairs)[:MOST_SHOWN]
        if len(chosen) < 2 and by != RunBreakdown.By.CERTAINTY:  # no comparison
            continue
        if by in (RunBreakdown.By.CERTAINTY, RunBreakdown.By.GAP):
            chosen.sort(key=lambda row: int(row.name))
        if chosen:
            found.append((str(by.label), _mark(by), [_dot(row) for row in chosen]))
    return found


def _mark(by: RunBreakdown.By) -> str:
    if by == RunBreakdown.By.CERTAINTY:
        return _("The mark is what it says of itself: the dot lies on it where it knows itself.")
    return _("The mark is one half: chance.")


def _dot(row: RunBreakdown) -> Dot:
    sure = row.by == RunBreakdown.By.CERTAINTY
    pairs = ngettext("%(n)s pair", "%(n)s pairs", row.pairs) % {"n": row.pairs}
    return Dot(
        label=_label(row),
        value=row.accuracy,
        low=row.low,
        high=row.high,
        note=pairs,
        hue="reward",
        reference=row.predicted if sure else 0.5,
    )


def _label(row: RunBreakdown) -> str:
    match row.by:
        case RunBreakdown.By.CERTAINTY:
            return _("says %(low)s–%(high)s %%") % {"low": row.name, "high": int(row.name) + 10}
        case RunBreakdown.By.GAP:
            gap = int(row.name)
            return ngettext("%(n)s rank", "%(n)s ranks", gap) % {"n": gap}
        case _:
            return row.name
