"""One report: all rankings of a project up to a mark in, figures and disputes out as rows.

The same rankings give the same figures. Read and worked out without a transaction; one short one
writes what was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import numpy as np
from django.db import transaction
from django.db.models.functions import Now

from labeling.models import Dispute, QualityFigure, QualityReport
from labeling.quality import reliability
from labeling.quality.alpha import alpha
from labeling.quality.pairs import Encounters, Leanings, encounters, leanings
from labeling.quality.repeats import repeats_of
from labeling.quality.resampling import Estimate, difference, share
from labeling.quality.standing_out import judge
from labeling.quality.table import Floats, Ints, Table, read_table
from labeling.quality_reports import forget_old_reports
from labeling.rankings import mark

Measure = QualityFigure.Measure
FEWEST_PAIRS = 30
"""Two labelers' agreement is told from so many pairs on."""
FEWEST_A_WEEK = 10
MOST_DISPUTES = 500
BATCH = 500
QUANTILES = (
    (Measure.SECONDS_P10, 0.1),
    (Measure.SECONDS_P50, 0.5),
    (Measure.SECONDS_P90, 0.9),
)
Subject = Mapping[str, object]
"""The columns of a figure that say whose it is."""


def work_out(report: QualityReport) -> QualityReport:
    """Fill `report`, which nobody else works on, with all there is by now."""
    up_to = mark()
    table = read_table(report.project, up_to=up_to)
    found = _Figures(report, table, up_to)
    figures = list(found.all())
    disputes = _disputes(report, table, found.all_met)
    with transaction.atomic():
        report.figures.all().delete()
        report.disputes.all().delete()
        QualityFigure.objects.bulk_create(figures, batch_size=BATCH)
        Dispute.objects.bulk_create(disputes, batch_size=BATCH)
        changes = {"up_to": up_to, "rankings": len(table), "done_at": Now()}
        QualityReport.objects.filter(pk=report.pk).update(**changes)
    forget_old_reports(report.project)
    report.refresh_from_db()
    return report


class _Figures:
    """All figures of one table."""

    def __init__(self, report: QualityReport, table: Table, up_to: int) -> None:
        self.report, self.table, self.up_to = report, table, up_to
        self.leaning: Leanings = leanings(table)
        self.all_met: Encounters = encounters(table, self.leaning)
        self.met: Encounters = self.all_met.among(table.asked)
        """Those that agreement is told from: disputes alone are looked for among all of them."""
        self.one_labeler = table.labeler[self.met.one]
        self.other_labeler = table.labeler[self.met.other]
        self.judged: dict[tuple[str, int], Estimate] = {}
        """What is judged, by measure and labeler (their number in the table)."""

    def all(self) -> Iterator[QualityFigure]:
        """Every figure; those of labelers last, since they are judged together."""
        everything = np.arange(len(self.met))
        yield from self._agreement({}, everything, whole_slates=True)
        yield from self._times({}, np.arange(len(self.table)))
        for number, name in enumerate(self.table.categories):
            if name:
                of = np.flatnonzero(self.table.category[self.met.one] == number)
                yield from self._agreement({"category": name}, of, whole_slates=True)
                yield from self._times(
                    {"category": name}, np.flatnonzero(self.table.category == number)
                )
        yield from self._of_two()
        yield from self._over_weeks()
        for number in range(len(self.table.labelers)):
            yield from self._of_labeler(number)
        self._reliability()
        self._repeats()
        yield from self._judged_ones()

    def _figure(
        self, measure: str, estimate: Estimate | None, **subject: object
    ) -> Iterator[QualityFigure]:
        if estimate is not None:
            yield QualityFigure(
                report=self.report,
                measure=measure,
                value=estimate.value,
                low=estimate.low,
                high=estimate.high,
                count=estimate.count,
                **subject,
            )

    def _agreement(
        self, subject: Subject, rows: Ints, *, whole_slates: bool = False
    ) -> Iterator[QualityFigure]:
        """Agreement, chance and alpha of these encounters. whole_slates: all labelers of each."""
        met = self.met
        agreed = share(met.agreed[rows], met.total[rows], met.slate[rows])
        yield from self._figure(Measure.AGREEMENT, agreed, **subject)
        chance = share(met.chance[rows], met.total[rows], met.slate[rows])
        yield from self._figure(Measure.CHANCE, chance, **subject)
        weight = np.ones(len(rows))
        if whole_slates:
            asked = self.table.slate[self.table.asked]
            of_slate = np.bincount(asked, minlength=len(self.table.slates))
            weight = 1 / (of_slate[met.slate[rows]] - 1)
        found = alpha(self.table, met.one[rows], met.other[rows], weight)
        yield from self._figure(Measure.ALPHA, found, **subject)

    def _times(self, subject: Subject, rows: Ints) -> Iterator[QualityFigure]:
        """Seconds a ranking, of rankings whose time is known."""
        seconds = self.table.seconds[rows]
        seconds = seconds[seconds > 0]
        for measure, at in QUANTILES if len(seconds) else ():
            value = Estimate(value=float(np.quantile(seconds, at)), count=len(seconds))
            yield from self._figure(measure, value, **subject)

    def _of_two(self) -> Iterator[QualityFigure]:
        """Agreement of each two labelers, the one with the lower id first."""
        pks = np.array(self.table.labelers or [0])
        low = np.minimum(pks[self.one_labeler], pks[self.other_labeler])
        high = np.maximum(pks[self.one_labeler], pks[self.other_labeler])
        twos, place = np.unique(np.stack([low, high]), axis=1, return_inverse=True)
        order = np.argsort(place, kind="stable")
        for (one, other), rows in zip(
            twos.T.tolist(),
            np.split(order, np.cumsum(np.bincount(place))[:-1]) if len(place) else (),
            strict=True,
        ):
            if self.met.total[rows].sum() >= FEWEST_PAIRS:
                yield from self._agreement({"labeler_id": one, "other_id": other}, rows)

    def _over_weeks(self) -> Iterator[QualityFigure]:
        """The project's agreement and gold items by week, each slate in its last ranking's week."""
        table, met = self.table, self.met
        week = np.maximum(table.week[met.one], table.week[met.other])
        for number in np.unique(week).tolist():
            rows = np.flatnonzero(week == number)
            if met.total[rows].sum() >= FEWEST_PAIRS:
                found = share(met.agreed[rows], met.total[rows], met.slate[rows])
                yield from self._figure(Measure.AGREEMENT, found, week=date.fromordinal(number))
        yield from self._gold_weeks({}, np.flatnonzero(~np.isnan(table.right_share)))

    def _gold_weeks(self, subject: Subject, rows: Ints) -> Iterator[QualityFigure]:
        weeks = self.table.week[rows]
        for number in np.unique(weeks).tolist():
            found = self._gold(rows[weeks == number])
            yield from self._figure(Measure.GOLD, found, week=date.fromordinal(number), **subject)

    def _gold(self, rows: Ints) -> Estimate | None:
        """The mean share of right pairs in these rankings; each item weighs the same."""
        return share(self.table.right_share[rows], np.ones(len(rows)), rows)

    def _of_labeler(self, number: int) -> Iterator[QualityFigure]:
        """One labeler's figures with everybody else; those that are judged are kept for later."""
        table, met = self.table, self.met
        subject = {"labeler_id": table.labelers[number]}
        rows = np.flatnonzero(table.labeler == number)
        mine = self.one_labeler == number
        shared = np.flatnonzero(mine | (self.other_labeler == number))
        for figure in self._agreement(subject, shared):
            if figure.measure != Measure.AGREEMENT:
                yield figure
        yield from self._times(subject, rows)
        gold = rows[~np.isnan(table.right_share[rows])]
        yield from self._gold_weeks(subject, gold)
        real = rows[~table.gold[rows]]
        slates, leaning = table.slate[real], self.leaning
        for measure, found in (
            (Measure.AGREEMENT, share(met.agreed[shared], met.total[shared], met.slate[shared])),
            (Measure.FIRST_POSITION, share(leaning.first[real], leaning.untied[real], slates)),
            (Measure.LONGER, self._longer(shared, mine[shared], real)),
            (Measure.TOO_FAST, self._too_fast(rows)),
            (Measure.GOLD, self._gold(gold)),
            (Measure.DRIFT, self._drift(shared)),
        ):
            if found is not None:
                self.judged[measure, number] = found
        yield from self._agreement_weeks(subject, number, shared)

    def _agreement_weeks(
        self, subject: Subject, number: int, shared: Ints
    ) -> Iterator[QualityFigure]:
        """Agreement with everybody else by the week of the labeler's own rankings."""
        met = self.met
        own = np.where(self.one_labeler[shared] == number, met.one[shared], met.other[shared])
        week = self.table.week[own]
        for monday in np.unique(week).tolist():
            rows = shared[week == monday]
            if met.total[rows].sum() >= FEWEST_A_WEEK:
                found = share(met.agreed[rows], met.total[rows], met.slate[rows])
                yield from self._figure(
                    Measure.AGREEMENT, found, week=date.fromordinal(monday), **subject
                )

    def _longer(self, shared: Ints, mine: Floats, real: Ints) -> Estimate | None:
        """How often the longer one wins, beside what others say of the same pairs.

        Where nobody else ordered the labeler's pairs, all of them, with nothing beside it.
        """
        met, leaning = self.met, self.leaning
        uneven = met.uneven[shared]
        if not uneven.any():
            slates = self.table.slate[real]
            return share(leaning.longer[real], leaning.uneven[real], slates)
        one, other = met.longer_one[shared], met.longer_other[shared]
        ours, theirs = np.where(mine, one, other), np.where(mine, other, one)
        found = share(ours, uneven, met.slate[shared])
        if found is None:
            return None
        _gap, error = difference(ours, theirs, uneven, met.slate[shared])
        return Estimate(
            value=found.value,
            low=found.low,
            high=found.high,
            error=error,
            count=found.count,
            slates=found.slates,
            reference=float(theirs.sum() / uneven.sum()),
        )

    def _too_fast(self, rows: Ints) -> Estimate | None:
        """The share of rankings that took less than reading takes; unknown times left out.

        The completions alone are counted, not the prompt: who is faster has not read them.
        """
        rows = rows[self.table.seconds[rows] > 0]
        fast = (self.table.seconds[rows] < self.table.least_seconds[rows]).astype(np.float64)
        return share(fast, np.ones(len(rows)), rows)

    def _drift(self, shared: Ints) -> Estimate | None:
        """Agreement in the newer half of the labeler's slates less that in the older half."""
        met = self.met
        slates = np.unique(met.slate[shared])
        if len(slates) < 2:
            return None
        newer = met.slate[shared] >= slates[len(slates) // 2]
        halves = [
            share(met.agreed[rows], met.total[rows], met.slate[rows])
            for rows in (shared[~newer], shared[newer])
        ]
        before, after = halves
        if before is None or after is None:
            return None
        value, error = after.value - before.value, float(np.hypot(before.error, after.error))
        return Estimate(
            value=value,
            low=value - 1.96 * error,
            high=value + 1.96 * error,
            error=error,
            count=before.count + after.count,
            slates=min(before.slates, after.slates),
            reference=0.0,
        )

    def _reliability(self) -> None:
        votes = reliability.votes_of(self.table)
        found = reliability.fit(votes, len(self.table.labelers))
        for number in np.flatnonzero(~np.isnan(found.eta)).tolist():
            eta, error = float(found.eta[number]), float(found.error[number])
            slates = len(np.unique(votes.slate[votes.labeler == number]))
            self.judged[Measure.RELIABILITY, number] = Estimate(
                value=eta,
                low=max(0.0, eta - 1.96 * error),
                high=min(1.0, eta + 1.96 * error),
                error=error,
                count=int(found.votes[number]),
                slates=slates,
            )

    def _repeats(self) -> None:
        numbers = {pk: number for number, pk in enumerate(self.table.labelers)}
        for pk, estimate in repeats_of(self.report.project, up_to=self.up_to).items():
            if pk in numbers:
                self.judged[Measure.REPEATS, numbers[pk]] = estimate

    def _judged_ones(self) -> Iterator[QualityFigure]:
        for (measure, number), judged in judge(self.judged).items():
            yield from self._figure(
                measure,
                judged.estimate,
                labeler_id=self.table.labelers[number],
                reference=judged.reference,
                stands_out=judged.stands_out,
            )


def _disputes(report: QualityReport, table: Table, met: Encounters) -> list[Dispute]:
    """The training slates on which labelers differ most, over each two of a slate's rankings."""
    count = len(table.slates)
    apart_of = np.where(table.training[met.one], met.apart, 0.0)
    twos = np.bincount(met.slate, minlength=count)
    apart = np.bincount(met.slate, weights=apart_of, minlength=count) / np.maximum(twos, 1)
    rankings = np.bincount(table.slate, minlength=count)
    # Equally disputed ones: the newest first.
    order = np.lexsort((-table.slates, -apart))[:MOST_DISPUTES]
    return [
        Dispute(
            report=report,
            slate_id=int(table.slates[slate]),
            apart=float(apart[slate]),
            rankings=int(rankings[slate]),
        )
        for slate in order.tolist()
        if apart[slate] > 0
    ]
