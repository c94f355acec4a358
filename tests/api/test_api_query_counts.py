"""A list's number of queries does not grow with its rows."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories import make_researcher
from tests.training.seeds import seed_loop

pytestmark = pytest.mark.django_db

LISTS = {
    "prompts/": 3,
    "completions/": 3,
    "rankings/": 7,
    "datasets/": 3,
    "runs/": 3,
    "runs/{run}/": 7,
    "rounds/": 3,
    "rounds/1/": 6,
    "checkpoints/": 4,
    "evaluations/": 3,
    "evaluations/{evaluation}/texts/": 4,
    "deployments/": 3,
}
"""Two of them find the token and the project."""


@pytest.mark.parametrize("path", LISTS)
def test_the_number_of_queries_is_fixed(api, path):
    counts, rows = [], []
    for rounds, rankings in ((1, 2), (2, 5)):
        seeded = seed_loop(rounds=rounds, rankings=rankings, steps=3, name=f"Of {rounds}")
        client = api(make_researcher(seeded.project), "read")
        address = f"/api/v1/projects/{seeded.project.slug}/" + path.format(
            run=seeded.ppo.pk, evaluation=seeded.evaluation.pk
        )
        client.get(address)  # notes that the token was used, at most once a minute
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(address)
        assert answer.status_code == 200
        counts.append(len(captured))
        rows.append(len(answer.json().get("results") or "one thing"))
    assert min(rows) >= 1
    assert max(rows) >= 2
    assert counts == [LISTS[path]] * 2, [query["sql"] for query in captured]


def test_the_export_needs_two_queries_a_page(api):
    counts = []
    for rankings in (2, 7):
        seeded = seed_loop(rounds=1, rankings=rankings, steps=1, name=f"With {rankings}")
        client = api(make_researcher(seeded.project), "read")
        address = f"/api/v1/projects/{seeded.project.slug}/preferences.jsonl"
        client.get(address)
        with CaptureQueriesContext(connection) as captured:
            body = b"".join(client.get(address).streaming_content)
        counts.append(len(captured))
        assert body
    assert counts[0] == counts[1]
