"""Items with a known answer over REST, and what a program sees of being screened and paused."""

from __future__ import annotations

import pytest

from labeling.models import Membership, Slate
from labeling.pauses import pause
from tests.factories import (
    make_answer,
    make_item,
    make_labeler,
    make_manager,
    make_member,
    make_project,
    make_ranking,
    make_slate,
)

pytestmark = pytest.mark.django_db

ROW = {
    "prompt": "Why does it rain?",
    "completions": ["Water falls.", "Because."],
    "ranks": [1, 2],
    "purpose": "gold",
    "explanation": "It does.",
}


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def base(project):
    return f"/api/v1/projects/{project.slug}/"


def test_items_are_added_once_and_listed_with_how_labelers_do(api, project, base):
    client = api(make_manager(project))
    answer = client.post(f"{base}known-answers/", [ROW | {"colour": "red"}], format="json")
    assert answer.status_code == 201, answer.content
    item = Slate.objects.items().get()
    assert answer.json() == {"items": [item.pk], "unused": ["colour"]}
    again = client.post(f"{base}known-answers/", ROW, format="json")
    assert again.json()["items"] == [item.pk]
    make_answer(item, make_labeler(project), (2, 1))
    (listed,) = client.get(f"{base}known-answers/?purpose=gold").json()["results"]
    assert listed["answers"] == 1
    assert listed["right_share"] == 0.0
    assert sorted(listed["ranks"].values()) == [1, 2]
    assert client.get(f"{base}known-answers/?purpose=quiz").json()["results"] == []


def test_a_wrong_row_keeps_all_out(api, project, base):
    answer = api(make_manager(project)).post(
        f"{base}known-answers/", [ROW, ROW | {"ranks": [1]}, 7], format="json"
    )
    assert answer.status_code == 400
    body = answer.json()
    assert body["code"] == "rows_refused"
    assert [(fault["index"], fault.get("field")) for fault in body["errors"]] == [
        (1, "ranks"),
        (2, None),
    ]
    assert not Slate.objects.exists()


def test_reviewers_read_them_and_labelers_do_not(api, project, base):
    make_item(project)
    assert api(make_member(project, "reviewer")).get(f"{base}known-answers/").status_code == 200
    assert api(make_labeler(project)).get(f"{base}known-answers/").status_code == 403


def test_a_labeler_is_not_told_which_rankings_were_of_gold_items_or_repeats(api, project, base):
    labeler = make_labeler(project)
    make_ranking(project, labeler)
    make_answer(make_item(project), labeler)
    make_answer(make_slate(project, purpose="repeat", overlap=0), labeler)
    make_answer(make_item(project, "quiz"), labeler)

    def purposes(user, query=""):
        rows = api(user).get(f"{base}rankings/{query}").json()["results"]
        return [row["purpose"] for row in rows]

    assert purposes(labeler) == ["training", "training", "training", "quiz"]
    assert len(purposes(labeler, "?purpose=training")) == 3
    assert purposes(labeler, "?purpose=gold") == purposes(labeler, "?purpose=repeat") == []
    manager = make_manager(project)
    assert purposes(manager) == ["training", "gold", "repeat", "quiz"]
    assert purposes(manager, "?purpose=gold") == ["gold"]


def test_a_paused_labeler_gets_a_code(api, project, base):
    labeler = make_labeler(project)
    make_slate(project)
    pause(membership=Membership.objects.get(user=labeler), by=None)
    answer = api(labeler).post(f"{base}assignments/next/")
    assert (answer.status_code, answer.json()["code"]) == (409, "paused")


def test_so_does_one_who_did_not_pass_the_quiz(api, project, base):
    labeler = make_labeler(project)
    make_slate(project)
    item = make_item(project, "quiz", (1, 2))
    better = item.items.order_by("position").first().completion
    client = api(labeler)
    given = client.post(f"{base}assignments/next/").json()
    wrong = {one["id"]: 2 if one["text"] == better.text else 1 for one in given["completions"]}
    sent = client.post(
        f"{base}rankings/",
        {
            "assignment": given["id"],
            "lease": given["lease"],
            "ranks": wrong,
        },
        format="json",
    )
    assert sent.status_code == 201
    answer = client.post(f"{base}assignments/next/")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_accepted")
