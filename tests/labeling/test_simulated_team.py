"""Twelve people, four of whom are not like the others: the report finds these, and nobody else."""

from __future__ import annotations

import pytest

from labeling.models import QualityFigure
from labeling.quality.report import work_out
from labeling.quality_reports import ask_for_report
from labeling.weights import suggestions
from tests.labeling.teams import BY_LENGTH, BY_PLACE, CARELESS, ORDINARY, simulate

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("slates", "overlap", "seed"),
    [*((500, 2, seed) for seed in range(5)), (500, 3, 0), (167, 3, 1), (167, 3, 2)],
)
def test_the_four_stand_out_and_nobody_else(slates, overlap, seed):
    """On 500 prompts, and on 500 rankings in all."""
    team = simulate(slates=slates, overlap=overlap, seed=seed)
    report = work_out(ask_for_report(team.project))
    beyond = report.figures.filter(stands_out=True)
    assert set(beyond.values_list("labeler", flat=True)) == team.odd
    of = {
        number: set(beyond.filter(labeler=team.labelers[number]).values_list("measure", flat=True))
        for number in range(12)
    }
    assert "first-position" in of[BY_PLACE]
    assert "longer" in of[BY_LENGTH]
    assert all(of[number] & {"agreement", "reliability"} for number in CARELESS)
    weights = {one.labeler.pk: one.weight for one in suggestions(report)}
    assert all(weights[user.pk] >= 0.5 for user in team.labelers[:ORDINARY])
    assert all(weights[user.pk] <= 0.35 for user in team.labelers[ORDINARY:])


def test_ordinary_labelers_agree_as_instructgpts_do():
    team = simulate(slates=500, overlap=3)
    report = work_out(ask_for_report(team.project))
    ordinary = [user.pk for user in team.labelers[:ORDINARY]]
    figures = report.figures.filter(
        measure=QualityFigure.Measure.AGREEMENT, labeler__in=ordinary, other__in=ordinary
    )
    pairs = sum(one.count for one in figures)
    assert sum(one.value * one.count for one in figures) / pairs == pytest.approx(0.73, abs=0.015)
