"""How many queries the work of a labeler takes: the same however much there is."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.assignments import shown
from labeling.leasing import lease_next
from tests.factories import make_labeler, make_project, make_ranking, make_slate
from tests.labeling.views.clients import as_user, numbered

pytestmark = pytest.mark.django_db

COUNTS = {"rank": 17, "ahead": 18, "submission": 12, "my-rankings": 10, "ranking": 13}
"""At most; session and person included, and on PostgreSQL the lock that writers share."""


def count(client: Client, name: str, address: str, fields: dict[str, object] | None) -> int:
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(address) if fields is None else client.post(address, fields)
    assert answer.status_code in {200, 302}, name
    return len(captured)


WATCHED = {"rank": 20, "ahead": 21, "submission": 12, "my-rankings": 10, "ranking": 13}
"""Where gold items and repeats are mixed in: what a labeler did is counted as well."""


def counts(k: int, rankings: int, **settings: int) -> dict[str, int]:
    """For a project with so many completions a slate and so many rankings of this labeler."""
    project = make_project(k=k, **settings)
    labeler = make_labeler(project)
    client = as_user(labeler)
    last = [make_ranking(project, labeler) for _ in range(rankings)][-1]
    for _ in range(rankings + 3):
        make_slate(project)
    assignment = lease_next(project=project, labeler=labeler)
    assert assignment
    where = [project.slug, assignment.pk]
    fields = {f"rank-{numbered(one.pk)}": place for place, one in enumerate(shown(assignment), 1)}
    fields["lease"] = str(assignment.lease_token)
    asked = {
        "rank": (reverse("rank", args=[project.slug]), None),
        "ahead": (reverse("ahead", args=[project.slug]), None),
        "my-rankings": (reverse("my-rankings", args=[project.slug]), None),
        "ranking": (reverse("ranking", args=[project.slug, last.pk]), None),
        "submission": (reverse("submission", args=where), fields),
    }
    return {name: count(client, name, *how) for name, how in asked.items()}


def test_the_number_of_queries_is_fixed() -> None:
    few, many = counts(k=2, rankings=1), counts(k=9, rankings=8)
    assert few == many
    assert {name: few[name] for name in COUNTS if few[name] > COUNTS[name]} == {}


def test_it_is_fixed_with_gold_items_and_repeats_as_well() -> None:
    few, many = (
        counts(k=k, rankings=rankings, gold_percent=50, repeat_percent=50)
        for k, rankings in ((2, 1), (9, 8))
    )
    assert {name: few[name] for name in WATCHED if few[name] > WATCHED[name]} == {}
    assert {name: many[name] for name in WATCHED if many[name] > WATCHED[name]} == {}
