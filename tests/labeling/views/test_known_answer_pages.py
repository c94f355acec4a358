"""Items with a known answer and how labelers stand, as managers and reviewers see them."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.decisions import decided, decision_of
from labeling.models import Membership, Project, Slate, User
from tests.factories import (
    make_answer,
    make_completions,
    make_item,
    make_labeler,
    make_member,
    make_prompt,
    make_ranking,
    make_slate,
)
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db

ROW = {
    "prompt": "Why does it rain?",
    "completions": ["Water falls.", "Because."],
    "ranks": [1, 2],
    "purpose": "quiz",
}


def test_a_reviewer_makes_an_item_of_some_of_a_prompts_completions(project: Project) -> None:
    prompt = make_prompt(project)
    a, b, c = make_completions(prompt, 3)
    client = as_user(make_member(project, "reviewer"))
    address = reverse("known-answer-create", args=[project.slug, prompt.pk])
    assert b.text in client.get(address).content.decode()
    fields = {f"rank-{a.pk}": "2", f"rank-{b.pk}": "", f"rank-{c.pk}": "1"}
    client.post(address, fields | {"purpose": "practice", "explanation": "C."})
    item = Slate.objects.items().get()
    decision = decision_of(item)
    assert decision is not None
    assert (item.purpose, decision.explanation) == ("practice", "C.")
    assert decided(decision) == {a.pk: 2, c.pk: 1}


def test_what_is_wrong_comes_back_with_what_was_typed(project: Project, manager: User) -> None:
    slate = make_slate(project, 2)
    ids = list(slate.items.values_list("completion_id", flat=True))
    address = reverse("known-answer-create", args=[project.slug, slate.prompt_id])
    answer = as_user(manager).post(
        f"{address}?slate={slate.pk}",
        {f"rank-{pk}": "2" for pk in ids} | {"purpose": "gold", "explanation": "Kept words."},
    )
    html = answer.content.decode()
    assert answer.status_code == 400
    assert "at least one must be better" in html
    assert "Kept words." in html
    assert html.count('value="2"') >= 2
    assert not Slate.objects.items().exists()


def test_an_item_is_changed_withdrawn_and_put_back(project: Project, manager: User) -> None:
    item = make_item(project, ranks=(1, 2))
    a, b = item.items.values_list("completion_id", flat=True)
    client = as_user(manager)
    address = reverse("known-answer", args=[project.slug, item.pk])
    client.post(address, {f"rank-{a}": "2", f"rank-{b}": "1", "explanation": ""})
    decision = decision_of(item)
    assert decision is not None
    assert decided(decision) == {a: 2, b: 1}
    withdraw = reverse("known-answer-withdraw", args=[project.slug, item.pk])
    client.post(withdraw)
    item.refresh_from_db()
    assert item.withdrawn_at is not None
    client.post(withdraw)
    item.refresh_from_db()
    assert item.withdrawn_at is None


def test_the_list_says_which_everybody_fails(project: Project, manager: User) -> None:
    bad = make_item(project)
    for _ in range(3):
        make_answer(bad, make_labeler(project), (4, 3, 2, 1))
    make_item(project)
    html = as_user(manager).get(reverse("known-answer-list", args=[project.slug])).content.decode()
    assert html.count("everybody fails it") == 1
    assert "0 %" in html
    page = as_user(manager).get(reverse("known-answer", args=[project.slug, bad.pk]))
    assert "no better than by guessing" in page.content.decode()


def test_pasted_lines_come_in_all_or_none(project: Project, manager: User) -> None:
    client = as_user(manager)
    address = reverse("known-answer-paste", args=[project.slug])
    good, bad = json.dumps(ROW), json.dumps(ROW | {"purpose": "exam"})
    answer = client.post(address, {"lines": f"{good}\n{bad}\nnot JSON"})
    html = answer.content.decode()
    assert answer.status_code == 400
    assert "Line 2:" in html
    assert "Line 3:" in html
    assert "Why does it rain?" in html  # what was pasted comes back
    assert not Slate.objects.exists()
    client.post(address, {"lines": f"{good}\n\n"})
    assert Slate.objects.items().get().purpose == "quiz"


def people(project: Project, manager: User) -> str:
    return as_user(manager).get(reverse("project-people", args=[project.slug])).content.decode()


def test_people_says_how_each_labeler_stands(project: Project, manager: User) -> None:
    make_item(project, "practice")
    quiz = [make_item(project, "quiz"), make_item(project, "quiz")]
    make_labeler(project)
    half, failed, accepted = (make_labeler(project) for _ in range(3))
    practice = Slate.objects.items().get(purpose="practice")
    for labeler in (half, failed, accepted):
        make_answer(practice, labeler)
    make_answer(quiz[0], half)
    for item in quiz:
        make_answer(item, failed, (4, 3, 2, 1))
        make_answer(item, accepted)
    html = people(project, manager)
    for said in ("practice 0 of 1", "quiz 1 of 2", "did not pass", "accepted", "quiz 0 % right"):
        assert said in html


def test_a_manager_accepts_gives_another_try_pauses_and_resumes(
    project: Project, manager: User
) -> None:
    labeler = make_labeler(project)
    member = Membership.objects.get(user=labeler)
    client = as_user(manager)
    address = reverse("member-standing", args=[project.slug, member.pk])
    make_answer(make_item(project, "quiz"), labeler, (4, 3, 2, 1))
    member.refresh_from_db()
    assert member.quiz_failed_at is not None
    client.post(address, {"do": "again"})
    member.refresh_from_db()
    assert member.quiz_failed_at is None
    client.post(address, {"do": "accept"})
    client.post(address, {"do": "pause", "note": "On leave."})
    member.refresh_from_db()
    assert member.accepted_at is not None
    assert (member.paused_by, member.pause_note) == (manager, "On leave.")
    assert "On leave." in people(project, manager)
    client.post(address, {"do": "resume"})
    member.refresh_from_db()
    assert member.paused_at is None
    client.post(address, {"do": "fly"})


def test_all_who_work_here_already_are_accepted_at_once(project: Project, manager: User) -> None:
    make_ranking(project)
    make_labeler(project)
    make_item(project, "quiz")
    as_user(manager).post(reverse("accept-all", args=[project.slug]))
    assert Membership.objects.filter(accepted_at__isnull=False).count() == 1


def test_why_the_gold_items_paused_somebody_is_there_to_be_read(
    project: Project, manager: User
) -> None:
    labeler = make_labeler(project)
    project.gold_window = 3
    project.save()
    items = [make_item(project) for _ in range(3)]
    for item in items:
        make_answer(item, labeler, (4, 3, 2, 1))
    assert "0 % right on the last 3 gold items; the line is 60 %." in people(project, manager)
    member = Membership.objects.get(user=labeler)
    page = as_user(manager).get(reverse("member-answers", args=[project.slug, member.pk]))
    html = page.content.decode()
    for item in items:
        assert reverse("known-answer", args=[project.slug, item.pk]) in html


def queries_of(project: Project, manager: User, *names: str) -> dict[str, int]:
    client = as_user(manager)
    found = {}
    for name in names:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse(name, args=[project.slug])).status_code == 200
        found[name] = len(captured)
    return found


def test_the_lists_take_as_many_queries_however_much_there_is(
    project: Project, manager: User
) -> None:
    def more(times: int) -> None:
        for _ in range(times):
            labeler = make_labeler(project)
            for purpose in ("practice", "quiz", "gold"):
                make_answer(make_item(project, purpose, by=manager), labeler)

    more(1)
    few = queries_of(project, manager, "project-people", "known-answer-list")
    more(4)
    assert queries_of(project, manager, "project-people", "known-answer-list") == few
