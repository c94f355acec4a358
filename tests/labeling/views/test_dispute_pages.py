"""Disputes: the queue, everything side by side, a decision that stands beside the rankings."""

from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.decisions import decide, decided, decision_of
from labeling.judgements import Judgement
from labeling.models import Ranking, Role
from labeling.quality.report import work_out
from labeling.quality_reports import ask_for_report
from labeling.rankings import correct_ranking, ranks_of
from tests.factories import make_labeler, make_member, make_ranking, make_slate
from tests.labeling.views.clients import as_user

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def slates(project):
    """Two of three completions: Ann and Ben differ in one pair of the first, all of the second."""
    project.overlap = 2
    project.save()
    ann, ben = make_labeler(project, "ann"), make_labeler(project, "ben")
    made = []
    for theirs in ([2, 1, 3], [3, 2, 1]):
        made.append(make_slate(project, ["One.", "Two.", HOSTILE]))
        make_ranking(project, ann, [1, 2, 3], comment=HOSTILE)
        make_ranking(project, ben, theirs)
    work_out(ask_for_report(project))
    return made


def queue(client, project):
    page = client.get(reverse("dispute-list", args=[project.slug]))
    return [one.slate for one in page.context["page"]]


def at(slate):
    return reverse("dispute", args=[slate.project.slug, slate.pk])


def form(slate, *ranks):
    ids = slate.items.values_list("completion_id", flat=True)
    return {f"rank-{pk}": rank for pk, rank in zip(ids, ranks, strict=True)}


def test_the_most_disputed_comes_first(project, manager, slates):
    client = as_user(manager)
    assert queue(client, project) == [slates[1], slates[0]]
    assert "100 %" in client.get(reverse("dispute-list", args=[project.slug])).content.decode()


def test_all_rankings_stand_side_by_side(project, manager, slates):
    page = as_user(manager).get(at(slates[0]))
    columns = page.context["columns"]
    assert [(one["name"], one["places"]) for one in columns] == [
        ("ann", [(1, "A"), (2, "B"), (3, "C")]),
        ("ben", [(1, "B"), (2, "A"), (3, "C")]),
    ]
    assert HOSTILE not in page.content.decode()


def test_a_decision_leaves_the_queue_and_every_ranking_as_it_was(project, manager, slates):
    client = as_user(manager)
    before = {one.pk: ranks_of(one) for one in Ranking.objects.all()}
    answer = client.post(at(slates[1]), form(slates[1], 2, 1, 1) | {"explanation": "Two is true."})
    assert answer["Location"] == at(slates[0])
    assert queue(client, project) == [slates[0]]
    decision = decision_of(slates[1])
    assert list(decided(decision).values()) == [1, 1, 2]
    assert decision.explanation == "Two is true."
    assert {one.pk: ranks_of(one) for one in Ranking.objects.current()} == before
    assert "Two is true." in client.get(at(slates[1])).content.decode()


def test_an_unfinished_decision_comes_back_as_it_was(manager, slates):
    sent = form(slates[0], 2, "", 1) | {"explanation": "Because."}
    answer = as_user(manager).post(at(slates[0]), sent)
    assert answer.status_code == 400
    assert [item["rank"] for item in answer.context["items"]] == [2, None, 1]
    assert answer.context["explanation"] == "Because."
    assert decision_of(slates[0]) is None


def test_what_its_labeler_replaced_is_kept_beside_what_stands(project, manager, slates):
    first = Ranking.objects.get(slate=slates[0], labeler__username="ann")
    ranks = ranks_of(first)
    turned = dict(zip(ranks, reversed(list(ranks.values())), strict=True))
    said = Judgement(ranks=turned, comment="I misread it.")
    correct_ranking(ranking=first, labeler=first.labeler, judgement=said, seconds=20.0)
    page = as_user(manager).get(at(slates[0]))
    assert [one["ranking"].comment for one in page.context["columns"]] == ["", "I misread it."]
    (replaced,) = page.context["replaced"]
    assert replaced["ranking"] == first
    assert replaced["places"] == [(1, "A"), (2, "B"), (3, "C")]
    assert "1 that its labeler replaced" in page.content.decode()


def test_the_page_of_a_prompt_leads_to_its_rankings(manager, slates):
    where = reverse("prompt", args=[slates[0].project.slug, slates[0].prompt_id])
    assert at(slates[0]) in as_user(manager).get(where).content.decode()


def test_researchers_read_and_see_no_names(project, slates):
    client = as_user(make_member(project, Role.RESEARCHER))
    page = client.get(at(slates[0]))
    assert page.status_code == 200
    assert not page.context["may_decide"]
    assert ">ann<" not in page.content.decode()
    assert client.post(at(slates[0]), form(slates[0], 1, 2, 3)).status_code == 404


def test_a_decision_can_be_decided_anew(manager, slates):
    ids = slates[0].items.values_list("completion_id", flat=True)
    first = decide(slate=slates[0], by=manager, ranks=dict(zip(ids, [1, 2, 3], strict=True)))
    as_user(manager).post(at(slates[0]), form(slates[0], 3, 2, 1))
    assert decision_of(slates[0]).replaces == first


def test_the_number_of_queries_does_not_grow(
    project, manager, slates, django_assert_max_num_queries
):
    client = as_user(manager)
    queue(client, project)
    with django_assert_max_num_queries(12):
        queue(client, project)
    with django_assert_max_num_queries(20):
        client.get(at(slates[0]))
