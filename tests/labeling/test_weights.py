"""Weights: set by hand or as suggested, append-only, always reversible."""

from __future__ import annotations

import pytest

from labeling.models import LabelerWeight, QualityFigure, QualityReport
from labeling.weights import (
    BadWeight,
    NobodyHere,
    ReasonNeeded,
    apply_suggestions,
    set_weight,
    suggestions,
    weights_in,
)
from tests.factories import make_labeler, make_manager, make_ranking, make_user


@pytest.fixture
def boss(project):
    return make_manager(project)


def test_who_is_not_named_counts_in_full(project, ann, boss):
    assert weights_in(project) == {}
    assert set_weight(project=project, labeler=ann, weight=1, by=boss) is None


def test_a_change_stands_beside_those_before(project, ann, boss):
    set_weight(project=project, labeler=ann, weight=0.5, by=boss, reason="often in a hurry")
    set_weight(project=project, labeler=ann, weight=0, by=boss, reason="ranks at random")
    set_weight(project=project, labeler=ann, weight=1, by=boss, reason="it was a broken mouse")
    assert weights_in(project) == {ann.pk: 1}
    rows = LabelerWeight.objects.order_by("pk").values_list("weight", "is_current", "reason")
    assert list(rows) == [
        (0.5, False, "often in a hurry"),
        (0, False, "ranks at random"),
        (1, True, "it was a broken mouse"),
    ]


def test_the_same_again_changes_nothing(project, ann, boss):
    one = set_weight(project=project, labeler=ann, weight=0.5, by=boss, reason="new")
    assert set_weight(project=project, labeler=ann, weight=0.5, by=boss, reason=" new ") == one
    assert LabelerWeight.objects.count() == 1


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), float("inf")])
def test_it_refuses_what_is_no_share(project, ann, boss, weight):
    with pytest.raises(BadWeight):
        set_weight(project=project, labeler=ann, weight=weight, by=boss, reason="why")


def test_taking_weight_away_needs_a_reason(project, ann, boss):
    with pytest.raises(ReasonNeeded):
        set_weight(project=project, labeler=ann, weight=0.9, by=boss, reason="  ")


def test_strangers_have_no_weight_and_those_who_left_do(project, ann, boss):
    with pytest.raises(NobodyHere):
        set_weight(project=project, labeler=make_user(), weight=0, by=boss, reason="why")
    make_ranking(project, ann)
    ann.memberships.all().delete()
    set_weight(project=project, labeler=ann, weight=0, by=boss, reason="why")
    assert weights_in(project) == {ann.pk: 0}


def figure(report, labeler, value, high):
    return QualityFigure.objects.create(
        report=report, measure="reliability", labeler=labeler, value=value, low=0, high=high
    )


def test_only_who_lies_below_the_usual_is_suggested_less(project, ann, ben, boss):
    report = QualityReport.objects.create(project=project)
    cat = make_labeler(project)
    figure(report, ann, 0.9, 0.95)
    figure(report, ben, 0.85, 0.92)  # reaches 0.9
    figure(report, cat, 0.6, 0.7)
    figure(report, make_labeler(project), 0.93, 0.99)
    figure(report, make_labeler(project), 0.93, 0.99)
    assert {one.labeler.pk: one.weight for one in suggestions(report)} == {
        cat.pk: 0.2,
        **{pk: 1 for pk in report.figures.values_list("labeler", flat=True) if pk != cat.pk},
    }
    assert apply_suggestions(project=project, report=report, by=boss) == 1
    assert weights_in(project) == {cat.pk: 0.2}
    assert "60" in LabelerWeight.objects.get().reason
    assert apply_suggestions(project=project, report=report, by=boss) == 0
