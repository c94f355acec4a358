"""The overview's poll does not count a project's rows again every five seconds."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.completions import fail_request
from labeling.prompts import withdraw_prompt
from tests.factories import make_project, make_prompt, make_ranking
from training.views.loop import KEPT_SECONDS, loop_of

GREAT = ("labeling_completion", "labeling_ranking", "labeling_demonstration")
"""Tables with a row or more for each prompt."""


@pytest.fixture(autouse=True)
def _nothing_is_kept():
    cache.clear()


def rankings(project, **how):
    return loop_of(project, **how).labeling.rankings


def test_a_poll_counts_nothing_again(seeded, manager):
    page = reverse("overview", args=[seeded.project.slug])
    manager.get(page)
    with CaptureQueriesContext(connection) as caught:
        manager.get(page, headers={"HX-Request": "true"})
    asked = [query["sql"] for query in caught]
    assert [sql for sql in asked if any(f'"{name}"' in sql for name in GREAT)] == []
    assert [sql for sql in asked if "COUNT" in sql and 'FROM "labeling_prompt"' in sql] == []


def test_the_page_itself_is_exact_and_polls_follow(seeded):
    project = seeded.project
    before = rankings(project)
    make_ranking(project)
    assert rankings(project, polled=True) == before
    assert rankings(project) == before + 1
    assert rankings(project, polled=True) == before + 1
    assert KEPT_SECONDS <= 30


@pytest.mark.django_db
def test_what_moves_is_looked_at_in_every_poll():
    project = make_project()
    assert loop_of(project, polled=True).requests_waiting == 0
    request = make_prompt(project).sample_requests.create(k=4)
    assert loop_of(project, polled=True).requests_waiting == 1
    fail_request(request=request, code="sampler_failed")
    found = loop_of(project, polled=True)
    assert (found.requests_waiting, found.requests_failed) == (0, 1)
    assert found.failed_request == request


@pytest.mark.django_db
def test_requests_are_looked_up_by_their_state():
    project = make_project()
    with CaptureQueriesContext(connection) as caught:
        loop_of(project)
    asked = [q["sql"] for q in caught if 'FROM "labeling_samplerequest"' in q["sql"]]
    assert len(asked) == 3
    assert all(
        '"labeling_samplerequest"."state" = ' in sql.partition(" WHERE ")[2] for sql in asked
    )


@pytest.mark.django_db
def test_a_withdrawn_prompts_request_has_not_failed():
    project = make_project()
    prompt = make_prompt(project)
    prompt.sample_requests.create(k=4)
    withdraw_prompt(prompt=prompt)
    found = loop_of(project)
    assert (found.requests_waiting, found.requests_failed) == (0, 0)
    assert found.failed_request is None
