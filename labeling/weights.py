"""How much each labeler's work counts in training: set by hand or as a report suggests.

Append-only: every change is a row with who, when and why, and another change takes it back. Nothing
a labeler said is touched by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import log
from statistics import median

from django.db import transaction
from django.db.models import FloatField, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from labeling.models import (
    LabelerWeight,
    Membership,
    Project,
    QualityFigure,
    QualityReport,
    Ranking,
    User,
)
from labeling.refusals import Refusal

FULL = 1.0
STEPS = 20
"""Suggestions come in steps of 1/20."""
MOST_RELIABLE = 0.995
"""Nobody is surer than that: the log-odds of 1 are infinite."""
LONGEST_REASON = 400


class BadWeight(Refusal):
    """A weight is a share."""

    code = "bad_weight"
    status = 400
    sentence = _("A weight is a number from 0 (not trained on) to 1 (counts in full).")


class ReasonNeeded(Refusal):
    """Whoever takes weight away says why."""

    code = "reason_needed"
    status = 400
    sentence = _("Say why in a few words (up to 400 letters): others will see it here.")


class NobodyHere(Refusal):
    """Weights are of people who work, or worked, in the project."""

    code = "nobody_here"
    status = 404
    sentence = _("This person has no part in the project.")


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What a report would have a labeler's work count, and what it has seen."""

    labeler: User
    weight: float
    reliability: QualityFigure


def set_weight(
    *, project: Project, labeler: User, weight: float, by: User, reason: str = ""
) -> LabelerWeight | None:
    """Let `labeler`'s work count so much from now on. None where it counts in full as ever.

    What counts so much already, for the same reason, is left as it is. Datasets that are frozen
    stay as they are. Raises BadWeight, ReasonNeeded (below 1), NobodyHere.
    """
    here = Membership.objects.filter(project=project, user=labeler).exists()
    if not here and not Ranking.objects.filter(slate__project=project, labeler=labeler).exists():
        raise NobodyHere
    if not (math.isfinite(weight) and 0 <= weight <= FULL):
        raise BadWeight
    why = reason.strip()
    if (weight < FULL and not why) or len(why) > LONGEST_REASON:
        raise ReasonNeeded
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        rows = LabelerWeight.objects.filter(project=project, labeler=labeler, is_current=True)
        standing = rows.first()
        if standing is None and weight == FULL:
            return None
        if standing is not None and (standing.weight, standing.reason) == (weight, why):
            return standing
        rows.update(is_current=False)
        return LabelerWeight.objects.create(
            project=project, labeler=labeler, weight=weight, reason=why, set_by=by
        )


def weights_in(project: Project) -> dict[int, float]:
    """The current weights by labeler id; who is not named counts in full."""
    rows = LabelerWeight.objects.filter(project=project, is_current=True)
    return dict(rows.values_list("labeler_id", "weight"))


def weight_of_labeler() -> Coalesce:
    """For rankings: what their labeler's work counts now in the slate's project, as an expression.

    In an export of millions of rows each page asks again: nobody's weight is held in memory.
    """
    current = LabelerWeight.objects.filter(
        project=OuterRef("slate__project"), labeler=OuterRef("labeler"), is_current=True
    )
    weight = Subquery(current.values("weight")[:1], output_field=FloatField())
    return Coalesce(weight, Value(FULL), output_field=FloatField())


def suggestions(report: QualityReport) -> list[Suggestion]:
    """A weight for every labeler whose reliability the report knows, the lowest first.

    It is 1 for all whose interval reaches what is usual: small differences are noise.
    """
    rows = report.figures.filter(measure=QualityFigure.Measure.RELIABILITY)
    figures = list(rows.select_related("labeler"))
    usual = median(figure.value for figure in figures) if figures else 1.0
    found = [
        Suggestion(labeler=figure.labeler, weight=_suggested(figure, usual), reliability=figure)
        for figure in figures
        if figure.labeler is not None
    ]
    return sorted(found, key=lambda one: (one.weight, one.reliability.value))


def apply_suggestions(*, project: Project, report: QualityReport, by: User) -> int:
    """Set every suggested weight that differs from the current one. How many.

    Weights that a person set for a reason of their own are changed, too: their rows stay.
    """
    current, changed = weights_in(project), 0
    for one in suggestions(report):
        if current.get(one.labeler.pk, FULL) != one.weight:
            reason = _now("Estimated reliability %(share)s %%, report of %(day)s") % {
                "share": round(one.reliability.value * 100),
                "day": f"{report.created_at:%Y-%m-%d}",
            }
            set_weight(
                project=project, labeler=one.labeler, weight=one.weight, by=by, reason=reason
            )
            changed += 1
    return changed


def suggested_weight(reliability: float, usual: float) -> float:
    """What a labeler's rankings should count where those of a `usual` labeler count 1.

    Of independent votes that are right with probability η the best sum weighs each by the log-odds
    log(η/(1 − η)) (Nitzan and Paroush 1982): nothing for somebody who orders at random. In steps
    of 0.05, no more than 1.
    """
    if usual <= 0.5:
        return FULL
    ratio = _log_odds(reliability) / _log_odds(usual)
    return round(min(max(ratio, 0.0), FULL) * STEPS) / STEPS


def _suggested(figure: QualityFigure, usual: float) -> float:
    if figure.high is None or figure.high >= usual:
        return FULL
    return suggested_weight(figure.value, usual)


def _log_odds(share: float) -> float:
    share = min(share, MOST_RELIABLE)
    return log(share / (1 - share)) if share > 0 else float("-inf")
