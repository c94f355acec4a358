"""Ranking over REST, as a program or a simulated labeler does it."""

from __future__ import annotations

import uuid

import pytest

from labeling.decisions import decide
from labeling.hidden_numbers import Of, hidden
from labeling.models import Ranking, Skip
from tests.factories import (
    make_answer,
    make_item,
    make_labeler,
    make_manager,
    make_project,
    make_ranking,
    make_researcher,
    make_slate,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def base(project):
    return f"/api/v1/projects/{project.slug}/"


def take(client, base):
    answer = client.post(f"{base}assignments/next/")
    assert answer.status_code == 200, answer.content
    return answer.json()


def submission(assignment, ranks=None):
    ids = [completion["id"] for completion in assignment["completions"]]
    return {
        "assignment": assignment["id"],
        "lease": assignment["lease"],
        "ranks": dict(zip(map(str, ids), ranks or range(1, len(ids) + 1), strict=True)),
        "seconds": 7.5,
    }


def test_next_shows_the_prompt_and_hides_who_wrote(api, project, base):
    slate = make_slate(project)
    shown = take(api(make_labeler(project)), base)
    assert shown["prompt"] == slate.prompt.messages
    assert all(set(one) == {"id", "text", "finished"} for one in shown["completions"])
    order = slate.assignments.get().order
    canonical = [
        hidden(Of.COMPLETION, pk) for pk in slate.items.values_list("completion_id", flat=True)
    ]
    assert [one["id"] for one in shown["completions"]] == [canonical[int(at)] for at in order]


def test_next_gives_the_same_until_it_is_done(api, project, base):
    make_slate(project), make_slate(project)
    client = api(make_labeler(project))
    first = take(client, base)
    assert take(client, base)["id"] == first["id"]
    assert client.post(f"{base}rankings/", submission(first), format="json").status_code == 201
    assert take(client, base)["id"] != first["id"]


def test_nothing_ready_is_204(api, project, base):
    assert api(make_labeler(project)).post(f"{base}assignments/next/").status_code == 204


def test_it_stores_the_ranking(api, project, base):
    make_slate(project)
    labeler = make_labeler(project)
    client = api(labeler)
    body = submission(take(client, base), [2, 1, 2, 9])
    answer = client.post(f"{base}rankings/", body, format="json")
    assert answer.status_code == 201
    stored = answer.json()
    assert stored["labeler"] == labeler.pseudonym
    ids = list(body["ranks"])
    assert stored["ranks"] == dict(zip(ids, [2, 1, 2, 3], strict=True))
    assert (stored["seconds"], stored["purpose"]) == (7.5, "training")


def test_submitting_twice_changes_nothing(api, project, base):
    make_slate(project)
    client = api(make_labeler(project))
    body = submission(take(client, base))
    first = client.post(f"{base}rankings/", body, format="json")
    again = client.post(f"{base}rankings/", body, format="json")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert Ranking.objects.count() == 1


def test_other_ranks_for_the_same_are_a_conflict(api, project, base):
    make_slate(project)
    client = api(make_labeler(project))
    shown = take(client, base)
    client.post(f"{base}rankings/", submission(shown, [1, 2, 3, 4]), format="json")
    answer = client.post(f"{base}rankings/", submission(shown, [4, 3, 2, 1]), format="json")
    assert answer.status_code == 409
    assert answer.json()["code"] == "already_ranked"


def test_bad_ranks_are_refused(api, project, base):
    make_slate(project)
    client = api(make_labeler(project))
    shown = take(client, base)
    body = submission(shown)
    huge = "9" * 5000
    for ranks in (
        {},
        {"x": 1},
        {huge: 1},
        {**body["ranks"], huge: 1},
        {**body["ranks"], "999999": 1},
        dict.fromkeys(body["ranks"], 0),
    ):
        answer = client.post(f"{base}rankings/", body | {"ranks": ranks}, format="json")
        assert answer.status_code == 400, ranks
    assert not Ranking.objects.exists()


def test_a_stranger_to_the_lease_cannot_submit(api, project, base):
    make_slate(project)
    body = submission(take(api(make_labeler(project)), base))
    thief = api(make_labeler(project))
    answer = thief.post(f"{base}rankings/", body, format="json")
    assert answer.status_code == 409
    assert answer.json()["code"] == "not_given"
    assert not Ranking.objects.exists()


def test_an_assignment_of_another_project_is_not_there(api, project, base):
    other = make_project()
    make_slate(other)
    shown = take(api(make_labeler(other)), f"/api/v1/projects/{other.slug}/")
    client = api(make_manager(project))
    for address, body in (
        (f"{base}rankings/", submission(shown)),
        (f"{base}assignments/{shown['id']}/renew/", {"lease": shown["lease"]}),
        (f"{base}assignments/{shown['id']}/skip/", {}),
    ):
        assert client.post(address, body, format="json").status_code == 404


def test_a_lease_is_renewed(api, project, base):
    make_slate(project)
    client = api(make_labeler(project))
    shown = take(client, base)
    address = f"{base}assignments/{shown['id']}/renew/"
    answer = client.post(address, {"lease": shown["lease"]}, format="json")
    assert answer.status_code == 200
    assert answer.json()["expires_at"] >= shown["expires_at"]
    wrong = client.post(address, {"lease": str(uuid.uuid4())}, format="json")
    assert wrong.status_code == 409
    assert client.post(address, {"lease": "x"}, format="json").json()["field"] == "lease"


def test_skipped_is_not_offered_again(api, project, base):
    make_slate(project)
    labeler = make_labeler(project)
    client = api(labeler)
    shown = take(client, base)
    address = f"{base}assignments/{shown['id']}/skip/"
    for _ in range(2):
        answer = client.post(address, {"reason": "Not mine to judge."}, format="json")
        assert answer.status_code == 204
    assert Skip.objects.get().reason == "Not mine to judge."
    assert client.post(f"{base}assignments/next/").status_code == 204
    assert take(api(make_labeler(project)), base)["id"] == shown["id"]


def test_labelers_read_their_own_researchers_all(api, project, base):
    one, two = make_labeler(project), make_labeler(project)
    mine, theirs = make_ranking(project, one), make_ranking(project, two)
    make_ranking(make_project())
    read = lambda user: [r["id"] for r in api(user).get(f"{base}rankings/").json()["results"]]
    assert read(one) == [mine.pk]
    assert read(make_researcher(project)) == [mine.pk, theirs.pk]


def test_researchers_do_not_rank(api, project, base):
    make_slate(project)
    assert api(make_researcher(project)).post(f"{base}assignments/next/").status_code == 403


def test_filters(api, project, base):
    ranking = make_ranking(project)
    client = api(make_researcher(project))
    get = lambda **query: client.get(f"{base}rankings/", query).json()["results"]
    assert [row["id"] for row in get(slate=ranking.slate_id)] == [ranking.pk]
    assert get(purpose="evaluation") == []


def test_a_decision_is_told_to_researchers_and_no_gold_answer_to_anybody(api, project, base):
    labeler, researcher = make_labeler(project), make_researcher(project)
    decided = {}
    for purpose in ("training", "gold"):
        slate = make_slate(project, ["One.", "Two."], purpose=purpose, overlap=0)
        make_answer(slate, labeler, [1, 2])
        ids = slate.items.values_list("completion_id", flat=True)
        decided[purpose] = dict(zip(ids, [2, 1], strict=True))
        decide(slate=slate, by=make_manager(project), ranks=decided[purpose])
    told = {
        row["purpose"]: row["decision"]
        for row in api(researcher).get(f"{base}rankings/").json()["results"]
    }
    assert told["training"] == {str(pk): rank for pk, rank in decided["training"].items()}
    assert told["gold"] is None
    rows = api(labeler).get(f"{base}rankings/").json()["results"]
    assert [row["decision"] for row in rows] == [None, None]


def test_after_a_practice_item_it_is_told_what_is_right_and_why(api, project, base):
    """As the page does; of a quiz item, and before it is ranked, nothing is told."""
    project.practice_first = True
    project.save()
    practice = make_item(project, "practice", [2, 1, 3, 4], explanation="**B** is shorter.")
    make_item(project, "quiz", explanation="Nobody is told.")
    client = api(make_labeler(project))
    shown = take(client, base)
    assert "**B**" not in str(shown)
    answer = client.post(f"{base}rankings/", submission(shown), format="json").json()
    ids = [
        str(hidden(Of.COMPLETION, pk))
        for pk in practice.items.values_list("completion_id", flat=True)
    ]
    assert answer["answer"] == {
        "ranks": dict(zip(ids, [2, 1, 3, 4], strict=True)),
        "explanation": "**B** is shorter.",
    }
    after = client.post(f"{base}rankings/", submission(take(client, base)), format="json").json()
    assert (after["purpose"], after["answer"], after["decision"]) == ("quiz", None, None)
    listed = client.get(f"{base}rankings/").json()["results"]
    assert [one["answer"] for one in listed] == [answer["answer"], None]


def test_no_number_tells_a_labeler_what_its_ids_would(api, project, base):
    """Slots, slates, prompts and completions of gold items are younger, or older, than others."""
    slate = make_slate(project)
    client = api(make_labeler(project))
    shown = take(client, base)
    stored = client.post(f"{base}rankings/", submission(shown), format="json").json()
    ids = {slate.pk, slate.prompt_id, slate.assignments.get().pk}
    ids |= set(slate.items.values_list("completion_id", flat=True))
    told = {shown["id"], stored["slate"], stored["prompt"]}
    told |= {one["id"] for one in shown["completions"]} | set(map(int, stored["ranks"]))
    assert not told & ids
    listed = client.get(f"{base}rankings/?slate={stored['slate']}").json()["results"]
    assert listed == [stored]
    assert client.get(f"{base}rankings/?slate={slate.pk}").json()["results"] == []


def test_who_reads_completions_anyway_is_told_ids(api, project, base):
    slate = make_slate(project)
    client = api(make_manager(project))
    shown = take(client, base)
    ids = set(slate.items.values_list("completion_id", flat=True))
    assert {one["id"] for one in shown["completions"]} == ids
    stored = client.post(f"{base}rankings/", submission(shown), format="json").json()
    assert (stored["slate"], stored["prompt"]) == (slate.pk, slate.prompt_id)
    assert set(map(int, stored["ranks"])) == ids
