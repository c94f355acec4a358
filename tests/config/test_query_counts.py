"""No page asks the database more often where there is more: two worlds, page by page."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.demonstrations import propose_demonstration
from labeling.models import Conversation, Import, Role
from labeling.notices import publish_notice
from labeling.people import invite, issue_token
from labeling.quotas import add_quota
from tests.config.test_every_url_has_a_rule import RULES, Who, World, ask, build_world
from tests.factories import (
    make_answer,
    make_assignment,
    make_item,
    make_labeler,
    make_member,
    make_ranking,
    make_slate,
    make_text,
)

pytestmark = pytest.mark.django_db

MORE = 4
ELSEWHERE = {"rank", "ahead"}
"""They take what there is to rank, and have tests of their own (test_rank_queries.py)."""
ASKED_BY = (Who.MANAGER, Who.LABELER, Who.RESEARCHER, Who.ANONYMOUS)


def grow(world: World) -> None:
    """More of everything that a page may list."""
    project = world.project
    manager, labeler = world.people[Who.MANAGER], world.people[Who.LABELER]
    assert manager is not None
    assert labeler is not None
    for number in range(MORE):
        make_slate(project)
        ranking = make_ranking(project, labeler)
        other = make_labeler(project)
        make_slate(project)
        make_ranking(project, other)
        make_member(project, Role.REVIEWER)
        make_answer(make_item(project, "practice"), labeler)
        make_assignment(project, make_labeler(project))
        propose_demonstration(prompt=ranking.slate.prompt, text=f"{number}.", labeler=other)
        make_text(project)
        invite(project=project, by=manager)
        issue_token(user=manager, name=f"token {number}", scopes=["read"])
        Import.objects.create(
            project=project, format="csv", file_name=f"{number}", state="committed"
        )
        add_quota(project=project, most=40 + number, category=f"c{number}")
        publish_notice(project=project, text=f"Notice {number}.", by=manager)
        Conversation.objects.create(project=project, labeler=other, closed_at=timezone.now())


def queries(world: World, name: str, who: Who) -> int:
    """What the page takes once all that is kept for later is kept."""
    client = world.client(who, api=name.startswith("api-"))
    address = world.address(name)
    ask(client, "get", address)
    with CaptureQueriesContext(connection) as captured:
        answer = ask(client, "get", address)
    assert answer.status_code < 400, (name, who)
    return len(captured)


def test_a_page_takes_as_many_queries_however_much_there_is() -> None:
    few, many = build_world(), build_world(rounds=3, rankings=9)
    grow(many)
    counts = {
        (name, who.name): (queries(few, name, who), queries(many, name, who))
        for name, rule in RULES.items()
        if name not in ELSEWHERE
        for who in ASKED_BY
        if who in rule.get
    }
    grew = {page: pair for page, pair in counts.items() if pair[0] < pair[1]}
    assert grew == {}
