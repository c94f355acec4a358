"""A page asks the database as often for a long history as for a short one."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.training.seeds import seed_loop
from tests.training.views.test_training_access import PAGES, address

MOST = 42


def queries_of(client, url: str) -> int:
    client.get(url)  # the labelers' agreement is remembered from here
    with CaptureQueriesContext(connection) as caught:
        assert client.get(url).status_code == 200
    return len(caught)


@pytest.mark.django_db
def test_no_page_asks_more_often_for_a_longer_history(signed_in):
    short = seed_loop(rounds=1, rankings=4, steps=4, live=False, name="Short")
    long = seed_loop(rounds=3, rankings=8, steps=8, live=False, name="Long")
    few, many = signed_in(short.manager), signed_in(long.manager)
    counts = {
        name: (queries_of(few, address(name, short)), queries_of(many, address(name, long)))
        for name in PAGES
    }
    assert {name: pair for name, pair in counts.items() if pair[1] > pair[0]} == {}
    assert {name: pair for name, pair in counts.items() if pair[1] > MOST} == {}
