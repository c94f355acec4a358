"""Weights: set, suggested, taken back; a form that is refused keeps what was sent."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone

from labeling.models import QualityFigure, QualityReport
from labeling.weights import weights_in
from tests.factories import make_labeler
from tests.labeling.views.clients import as_user


def at(project):
    return reverse("weight-list", args=[project.slug])


def test_a_weight_is_set_with_a_reason_and_stands_in_the_history(project, manager):
    ann = make_labeler(project, "ann")
    client = as_user(manager)
    form = {"weight": "0.25", "reason": "often in a hurry"}
    answer = client.post(reverse("weight", args=[project.slug, ann.pk]), form, follow=True)
    assert "The next dataset" in answer.content.decode()
    assert weights_in(project) == {ann.pk: 0.25}
    assert [one.reason for one in answer.context["changes"]] == ["often in a hurry"]
    client.post(reverse("weight", args=[project.slug, ann.pk]), {"weight": "1"})
    assert weights_in(project) == {ann.pk: 1}


def test_without_a_reason_the_form_comes_back_with_what_was_sent(project, manager):
    ann = make_labeler(project, "ann")
    address = reverse("weight", args=[project.slug, ann.pk])
    for weight in ("0.25", "much"):
        answer = as_user(manager).post(address, {"weight": weight})
        assert answer.status_code == 400
        (row,) = [row for row in answer.context["rows"] if row["labeler"] == ann]
        assert row["weight"] == weight
        assert row["problem"]
    assert weights_in(project) == {}


def test_nobody_of_another_project(project, manager):
    from tests.factories import make_user

    address = reverse("weight", args=[project.slug, make_user().pk])
    assert as_user(manager).post(address, {"weight": "0", "reason": "x"}).status_code == 404


def test_all_suggestions_with_one_button(project, manager):
    labelers = [make_labeler(project) for _ in range(4)]
    report = QualityReport.objects.create(project=project, done_at=timezone.now())
    for who, eta in zip(labelers, (0.95, 0.95, 0.95, 0.5), strict=True):
        QualityFigure.objects.create(
            report=report, measure="reliability", labeler=who, value=eta, low=eta, high=eta + 0.02
        )
    client = as_user(manager)
    assert client.get(at(project)).context["differing"] == 1
    client.post(reverse("weights-suggested", args=[project.slug]))
    assert weights_in(project) == {labelers[3].pk: 0}
    page = client.get(at(project))
    assert page.context["differing"] == 0
    assert "not trained on" in page.content.decode()


def test_the_number_of_queries_does_not_grow(project, manager, django_assert_max_num_queries):
    client = as_user(manager)
    client.get(at(project))
    for _ in range(20):
        make_labeler(project)
    with django_assert_max_num_queries(12):
        client.get(at(project))
