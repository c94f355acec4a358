"""Datasets: what they hold, and their own bytes."""

from __future__ import annotations

import hashlib

from django.urls import reverse

from labeling.decisions import decide
from labeling.rankings import ranks_of
from tests.factories import make_manager
from training import artifacts
from training.datasets import freeze_rankings
from training.models import DatasetRanking


def at(name, seeded):
    return reverse(name, args=[seeded.project.slug, seeded.dataset.pk])


def test_it_counts_rows_by_split_and_by_labeler(seeded, manager):
    context = manager.get(at("dataset", seeded)).context
    assert sum(number for _name, number in context["by_split"]) == seeded.dataset.rows == 9
    assert sorted(number for _name, _weight, number in context["by_labeler"]) == [3, 6]
    assert context["left_out"] == []


def test_it_says_whose_work_was_left_out(seeded, manager):
    who = DatasetRanking.objects.filter(dataset=seeded.dataset).first().ranking.labeler
    rows = DatasetRanking.objects.filter(dataset=seeded.dataset, ranking__labeler=who)
    number = rows.update(weight=0)
    page = manager.get(at("dataset", seeded))
    assert page.context["left_out"] == [(who.pseudonym, 0.0, number)]
    assert f"{number} rows" in page.content.decode()
    listed = manager.get(reverse("dataset-list", args=[seeded.project.slug]))
    assert f"{number} left out" in listed.content.decode()


def test_a_decision_is_counted_among_the_rows_and_its_person_named(seeded, manager):
    ranking = DatasetRanking.objects.filter(dataset=seeded.dataset).first().ranking
    judge = make_manager(seeded.project)
    decide(slate=ranking.slate, by=judge, ranks=ranks_of(ranking))
    frozen = freeze_rankings(project=seeded.project)
    page = manager.get(reverse("dataset", args=[seeded.project.slug, frozen.pk]))
    assert sum(number for _name, number in page.context["by_split"]) == frozen.rows == 10
    assert (judge.pseudonym, 1.0, 1) in page.context["by_labeler"]
    assert "1 of them an adjudicator’s decision" in page.content.decode()


def test_the_file_has_the_sum_that_the_page_names(seeded, manager):
    body = b"".join(manager.get(at("dataset-file", seeded)).streaming_content)
    assert hashlib.sha256(body).hexdigest() == seeded.dataset.sha256
    assert body.count(b"\n") == seeded.dataset.rows


def test_a_file_that_is_gone_says_so(seeded, manager):
    artifacts.store().delete(seeded.dataset.artifact)
    answer = manager.get(at("dataset-file", seeded))
    assert answer.status_code == 410
