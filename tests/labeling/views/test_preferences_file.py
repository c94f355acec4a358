"""Preferences as a file, for whoever reads the project: the same as over REST."""

from __future__ import annotations

import json

from django.urls import reverse

from tests.factories import make_labeler, make_ranking, make_researcher, make_slate
from tests.labeling.views.clients import as_user


def ranked(project, *ranks):
    make_slate(project, ["One.", "Two.", "Three."][: len(ranks)])
    return make_ranking(project, ranks=ranks)


def taken(project, form=""):
    address = reverse("preferences.jsonl", args=[project.slug])
    answer = as_user(make_researcher(project)).get(address, {"form": form} if form else {})
    return answer, [json.loads(line) for line in b"".join(answer).splitlines()]


def test_three_untied_completions_are_three_pairs(project):
    ranking = ranked(project, 1, 2, 3)
    answer, rows = taken(project)
    assert [(row["chosen_rank"], row["rejected_rank"]) for row in rows] == [(1, 2), (1, 3), (2, 3)]
    assert {row["ranking"] for row in rows} == {ranking.pk}
    assert f'filename="{project.slug}-pairs.jsonl"' in answer["Content-Disposition"]


def test_rankings_come_whole(project):
    ranked(project, 2, 1, 2)
    _answer, (row,) = taken(project, "rankings")
    assert sorted(row["ranks"]) == [1, 2, 2]


def test_trl_gets_its_three_fields(project):
    ranked(project, 1, 2)
    _answer, (row,) = taken(project, "trl")
    assert set(row) == {"prompt", "chosen", "rejected"}


def test_another_form_is_not_there(project):
    address = reverse("preferences.jsonl", args=[project.slug])
    assert as_user(make_researcher(project)).get(address, {"form": "xml"}).status_code == 404


def test_labelers_do_not_take_it(project):
    address = reverse("preferences.jsonl", args=[project.slug])
    assert as_user(make_labeler(project)).get(address).status_code == 404
