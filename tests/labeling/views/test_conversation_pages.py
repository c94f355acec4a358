"""Conversations by the page: said, waited for, ranked, gone on with; whose they are."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from labeling.completions import fail_request
from labeling.conversations import begin, close, say, take_up
from labeling.guidelines import mark_read, publish
from labeling.leasing import lease_next
from labeling.models import (
    Assignment,
    Conversation,
    Draft,
    FormDraft,
    Project,
    Ranking,
    Role,
    SampleRequest,
    Turn,
)
from labeling.projects import update_project
from tests.factories import make_labeler, make_member, make_project, make_prompt, make_ranking
from tests.labeling.talks import ANSWERS, answered, completion, here, ranked, talk
from tests.labeling.views.clients import as_user, numbered

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def project(db):
    return make_project(name="Rain", allows_conversations=True)


@pytest.fixture
def ann(project):
    return make_labeler(project, "ann")


@pytest.fixture
def client(ann) -> Client:
    return as_user(ann)


def address(conversation: Conversation, name: str = "conversation") -> str:
    return reverse(name, args=[conversation.project.slug, conversation.pk])


def read(client: Client, conversation: Conversation, **how: object) -> str:
    return client.get(address(conversation), **how).content.decode()


def said(client: Client, conversation: Conversation, text: str, number: int = 1, **more: object):
    fields = {"text": text, "number": number, **more}
    return client.post(address(conversation, "conversation-say"), fields, follow=True)


def ranks(conversation: Conversation, best: str) -> dict[str, object]:
    """The fields of a ranking form that puts `best` first."""
    assignment = take_up(here(conversation)).assignment
    texts = {item.completion.text: item.completion_id for item in assignment.slate.items.all()}
    places = {f"rank-{numbered(pk)}": 1 if text == best else 2 for text, pk in texts.items()}
    return {**places, "lease": str(assignment.lease_token)}


def submission(conversation: Conversation) -> str:
    assignment = take_up(here(conversation)).assignment
    where = reverse("submission", args=[conversation.project.slug, assignment.pk])
    return f"{where}?conversation={conversation.pk}"


class TestWithPlainForms:
    def test_two_turns_from_the_list_to_the_second_answer(self, client, project, ann):
        page = client.post(reverse("conversation-list", args=[project.slug]), follow=True)
        conversation = Conversation.objects.get()
        assert page.redirect_chain[-1][0] == address(conversation)
        assert "What do you say first?" in page.content.decode()
        page = said(client, conversation, "How do **tides** work?").content.decode()
        assert "The model is writing 4 answers" in page
        assert "Look again" in page
        assert "<strong>tides</strong>" in page
        answered(conversation)
        page = read(client, conversation)
        assert "Rank these 4 completions" in page
        assert 'id="skip"' not in page
        assert 'id="take-break"' not in page
        page = client.post(submission(conversation), ranks(conversation, "Two."), follow=True)
        assert page.redirect_chain[-1][0] == address(conversation)
        page = page.content.decode()
        assert "What do you say next?" in page
        assert "Two." in page
        assert "Three." not in page
        page = said(client, conversation, "And then?", 2).content.decode()
        assert "The model is writing 4 answers" in page
        assert [turn.chosen and turn.chosen.text for turn in Turn.objects.all()] == ["Two.", None]

    def test_begun_twice_it_is_one(self, client, project):
        for _ in range(2):
            client.post(reverse("conversation-list", args=[project.slug]))
        assert Conversation.objects.count() == 1

    def test_what_is_refused_comes_back_in_the_form(self, client, project, ann):
        conversation = begin(project=project, labeler=ann)
        response = said(client, conversation, " ")
        assert response.status_code == 400
        assert "Your turn is empty; write a text." in response.content.decode()
        opening = make_prompt(project, split="evaluation").text
        response = said(client, conversation, opening)
        assert response.status_code == 409
        page = response.content.decode()
        assert "This opening is kept for evaluation; say it in other words." in page
        assert f"\n{opening}</textarea>" in page

    def test_what_another_tab_was_first_with_is_shown_and_nothing_is_lost(
        self, client, project, ann
    ):
        conversation = talk(project, ann, "Hello.")
        response = said(client, conversation, "<i>Something</i> else.")
        assert response.status_code == 409
        page = response.content.decode()
        assert "You said something else here in another tab" in page
        assert "&lt;i&gt;Something&lt;/i&gt; else." in page

    def test_a_ranking_that_is_refused_comes_back_with_what_was_entered(self, client, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        fields = ranks(conversation, "Two.")
        fields[next(iter(fields))] = ""
        response = client.post(submission(conversation), {**fields, "comment": "Hm."})
        assert response.status_code == 400
        page = response.content.decode()
        assert "Give each completion a rank" in page
        assert ">Hm.</textarea>" in page
        assert address(conversation) in page

    def test_tied_for_best_the_labeler_picks(self, client, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        ranked(conversation, "Two.", "Four.")
        page = read(client, conversation)
        assert "These are tied for best" in page
        picked = completion(conversation, "Four.").pk
        said(client, conversation, "Go on.", 2, going_on_from=picked)
        assert conversation.turns.get(number=1).chosen_id == picked

    def test_said_again_from_another_it_is_not_said(self, client, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        ranked(conversation, "One.", "Two.")
        one, two = (completion(conversation, text).pk for text in ("One.", "Two."))
        said(client, conversation, "And then?", number=2, going_on_from=two)
        again = said(client, conversation, "And then?", number=2, going_on_from=two)
        assert again.status_code == 200
        other = said(client, conversation, "And then?", number=2, going_on_from=one)
        assert other.status_code == 409
        assert Turn.objects.count() == 2

    def test_it_goes_on_from_an_edit(self, client, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        two = completion(conversation, "Two.").pk
        fields = {**ranks(conversation, "Two."), f"edit-{numbered(two)}": "Two, *truly*."}
        page = client.post(submission(conversation), fields, follow=True).content.decode()
        assert "Two, <em>truly</em>." in page
        said(client, conversation, "Go on.", 2)
        assert conversation.turns.get(number=1).chosen.edited_from_id == two

    def test_an_end_is_an_end(self, client, project, ann):
        conversation = talk(project, ann)
        page = client.post(address(conversation, "conversation-close"), follow=True)
        assert "Closed." in page.content.decode()
        page = read(client, conversation)
        assert "This conversation was ended" in page
        assert 'id="say"' not in page


class TestWaiting:
    def test_a_page_that_has_seen_it_gets_nothing(self, client, project, ann):
        conversation = talk(project, ann)
        page = read(client, conversation)
        assert "seen=0-0-0" in page
        assert client.get(address(conversation), {"seen": "0-0-0"}, headers=HTMX).status_code == 204
        answered(conversation, ["One.", "Two."])
        part = client.get(address(conversation), {"seen": "0-0-0"}, headers=HTMX).content.decode()
        assert "2 of 4 answers are there" in part
        assert "<html" not in part
        answered(conversation)
        part = client.get(address(conversation), {"seen": "2-0-0"}, headers=HTMX).content.decode()
        assert "Rank these 4 completions" in part

    def test_it_says_what_it_usually_takes_and_that_it_takes_long(self, client, project, ann):
        now = timezone.now()
        done = SampleRequest.objects.create(
            prompt=make_prompt(project), k=4, state="done", deadline=now, done_at=now
        )
        done.created_at = now - timedelta(seconds=20)
        done.save()
        conversation = talk(project, ann)
        page = read(client, conversation)
        assert "lately it took about 20 s" in page
        assert "busy with training" not in page
        SampleRequest.objects.filter(state="waiting").update(created_at=now - timedelta(minutes=2))
        page = read(client, conversation)
        assert "120 s so far" in page
        assert "busy with training" in page

    def test_a_failure_is_told_and_asked_again(self, client, project, ann):
        conversation = talk(project, ann)
        fail_request(request=here(conversation).request, code="out_of_memory")
        page = read(client, conversation)
        assert "The model could not answer (out_of_memory)." in page
        page = client.post(address(conversation, "conversation-again"), follow=True)
        assert "The model is writing 4 answers" in page.content.decode()

    def test_what_somebody_else_has_meanwhile_is_told(self, client, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        fields, where = ranks(conversation, "Two."), submission(conversation)
        Assignment.objects.update(lease_expires_at=timezone.now())
        lease_next(project=project, labeler=make_labeler(project))
        response = client.post(where, fields)
        assert response.status_code == 409
        page = response.content.decode()
        assert "is kept as a draft" in page
        assert "Ask for others" in page
        assert Draft.objects.get().labeler == ann

    def test_a_long_talk_gets_a_word(self, client, project, ann):
        conversation = talk(project, ann)
        assert "may no longer see its beginning" not in read(client, conversation)
        Turn.objects.update(number=20)
        assert "This conversation has 20 turns" in read(client, conversation)


class TestWhose:
    def test_nobody_else_who_labels_sees_it(self, project, ann):
        conversation = talk(project, ann, "A secret thing.")
        other = as_user(make_labeler(project))
        assert other.get(address(conversation)).status_code == 404
        for name in ("conversation-say", "conversation-again", "conversation-close"):
            assert other.post(address(conversation, name)).status_code == 404
        page = other.get(reverse("conversation-list", args=[project.slug])).content.decode()
        assert "A secret thing." not in page

    @pytest.mark.parametrize("role", [Role.MANAGER, Role.REVIEWER])
    def test_managers_and_reviewers_read_it(self, project, ann, role):
        conversation = talk(project, ann, "A secret thing.")
        reader = as_user(make_member(project, role))
        page = reader.get(reverse("conversation-list", args=[project.slug])).content.decode()
        assert "A secret thing." in page
        answered(conversation)
        page = reader.get(address(conversation)).content.decode()
        assert "wait for the labeler" in page
        assert "One." not in page
        assert "End conversation" not in page
        assert reader.post(address(conversation, "conversation-close")).status_code == 404

    def test_a_submission_leads_back_only_into_the_conversation_it_belongs_to(
        self, client, project, ann
    ):
        conversation = talk(project, ann)
        slot = make_ranking(project, ann).assignment
        where = reverse("submission", args=[project.slug, slot.pk])
        for pk in (conversation.pk, "x", 10**30, 999):
            page = client.post(f"{where}?conversation={pk}", {})
            assert "conversations" not in page.get("Location", "")
        assert Ranking.objects.count() == 1

    def test_the_tab_is_there_where_the_project_has_them(self, client, project, ann):
        tab = f'href="{reverse("conversation-list", args=[project.slug])}"'
        my = reverse("my-rankings", args=[project.slug])
        assert tab in client.get(my).content.decode()
        update_project(project=project, allows_conversations=False)
        assert tab not in client.get(my).content.decode()
        page = client.get(reverse("conversation-list", args=[project.slug])).content.decode()
        assert "switched off" in page

    def test_guidelines_are_read_first(self, client, project, ann):
        conversation = begin(project=project, labeler=ann)
        publish(project=project, text="Be kind.")
        assert client.get(address(conversation))["Location"] == reverse(
            "guidelines", args=[project.slug]
        )

    def test_they_are_beside_what_is_said(self, client, project, ann):
        publish(project=project, text="Be **kind**.")
        mark_read(guidelines=project.guidelines, user=ann)
        page = read(client, begin(project=project, labeler=ann))
        assert "Be <strong>kind</strong>." in page

    def test_corrected_before_it_went_on_the_talk_goes_on_from_there(self, client, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        ranking = ranked(conversation, "Two.")
        where = reverse("ranking", args=[project.slug, ranking.pk])
        assert where in read(client, conversation)
        ids = {one.text: one.pk for one in ranking.slate.completions.all()}
        fields = {f"rank-{numbered(pk)}": 1 if text == "One." else 2 for text, pk in ids.items()}
        page = client.post(where, fields, follow=True)
        assert page.redirect_chain[-1][0] == address(conversation)
        assert "One." in page.content.decode()

    def test_an_archived_project_keeps_them_to_be_read(self, client, project, ann):
        conversation = talk(project, ann)
        answered(conversation)
        ranked(conversation, "Two.")
        project.archived_at = timezone.now()
        project.save()
        page = read(client, conversation)
        assert "This project is archived" in page
        assert 'id="say"' not in page


class TestDrafts:
    """What is typed and not said yet."""

    def keep(self, client: Client, project: Project, text: str, **sent: int):
        fields = {"content": json.dumps([("text", text), ("number", "1")]), **sent}
        return client.post(reverse("turn-draft", args=[project.slug]), fields).json()

    def test_what_the_script_keeps_is_there_again_on_another_machine(self, client, project, ann):
        conversation = begin(project=project, labeler=ann)
        assert self.keep(client, project, "\n<b>Tides</b>?", sequence=7) == {"saved": True}
        page = read(as_user(ann), conversation)
        assert "\n\n&lt;b&gt;Tides&lt;/b&gt;?</textarea>" in page
        assert 'data-sequence="7" data-kept' in page
        older = self.keep(client, project, "Older.", sequence=9, based_on=0)
        assert older == {"saved": False}
        assert FormDraft.objects.get().content == [["text", "\n<b>Tides</b>?"]]

    def test_said_it_is_empty_and_what_arrives_late_brings_nothing_back(self, client, project, ann):
        conversation = begin(project=project, labeler=ann)
        self.keep(client, project, "How do tides work?", sequence=7)
        said(client, conversation, "How do tides work?")
        late = self.keep(client, project, "How do tides work?", sequence=8, based_on=7)
        assert late == {"saved": False}
        answered(conversation)
        ranked(conversation, "Two.")
        assert "What do you say next?" in read(client, conversation)
        assert "tides work?</textarea>" not in read(client, conversation)

    def test_ended_before_it_was_said_it_is_offered_in_the_next_one(self, client, project, ann):
        first = begin(project=project, labeler=ann)
        self.keep(client, project, "How do tides work?", sequence=7)
        close(conversation=first)
        assert "tides" not in read(client, first)
        second = begin(project=project, labeler=ann)
        assert "\nHow do tides work?</textarea>" in read(client, second)

    def test_what_is_refused_is_kept_too(self, client, project, ann):
        conversation = talk(project, ann, "Hello.")
        assert said(client, conversation, "Something else.").status_code == 409
        assert "What you wrote and is not said" in read(client, conversation)
        answered(conversation)
        ranked(conversation, "Two.")
        assert "\nSomething else.</textarea>" in read(client, conversation)

    def test_without_scripts_a_button_keeps_it(self, client, project, ann):
        conversation = begin(project=project, labeler=ann)
        where = reverse("turn-draft", args=[project.slug])
        page = client.post(where, {"text": "How do tides work?", "based_on": 0}, follow=True)
        assert "Kept as a draft." in page.content.decode()
        assert "\nHow do tides work?</textarea>" in read(client, conversation)
        client.post(where, {"text": "And in lakes?", "based_on": 0})  # asked for, it is the newest
        assert "\nAnd in lakes?</textarea>" in read(client, conversation)

    def test_an_empty_form_or_an_older_one_takes_nothings_place(self, client, project, ann):
        conversation = begin(project=project, labeler=ann)
        self.keep(client, project, "How do tides work?", sequence=7)
        assert said(client, conversation, " ", based_on=7).status_code == 400
        assert "\nHow do tides work?</textarea>" in read(client, conversation)
        opening = make_prompt(project, split="evaluation").text
        assert said(client, conversation, opening, based_on=3).status_code == 409
        assert "\nHow do tides work?</textarea>" in read(client, conversation)
        assert said(client, conversation, opening, based_on=7).status_code == 409
        assert f"\n{opening}</textarea>" in read(client, conversation)

    def test_in_an_archived_project_what_was_not_said_is_shown(self, client, project, ann):
        conversation = begin(project=project, labeler=ann)
        self.keep(client, project, "How do tides work?", sequence=7)
        project.archived_at = timezone.now()
        project.save()
        page = read(client, conversation)
        assert "What you wrote and is not said" in page
        assert "How do tides work?" in page

    def test_nobody_reads_anothers(self, client, project, ann):
        self.keep(client, project, "Mine alone.", sequence=7)
        bob = make_labeler(project, "bob")
        assert "Mine alone." not in read(as_user(bob), begin(project=project, labeler=bob))
        mine = begin(project=project, labeler=ann)
        manager = make_member(project, Role.MANAGER)
        assert "Mine alone." not in read(as_user(manager), mine)

    @pytest.mark.parametrize("content", ["", "{", "[1]", "7", "[" * 5_000])
    def test_one_that_is_none_is_refused(self, client, project, content):
        where = reverse("turn-draft", args=[project.slug])
        answer = client.post(where, {"sequence": 7, "content": content})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_draft")
        assert not FormDraft.objects.exists()


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_the_number_of_queries_is_fixed(project, ann, client):
    counts = []
    conversation = talk(project, ann)
    for number in range(2, 6):
        waiting = queries(client, address(conversation))
        answered(conversation, ANSWERS)
        to_rank = queries(client, address(conversation))
        ranked(conversation, "Two.")
        counts.append((waiting, to_rank, queries(client, address(conversation))))
        say(conversation=conversation, number=number, text=f"And then {number}?")
    assert len(set(counts)) == 1
    assert max(counts[0]) <= 25
    listed = reverse("conversation-list", args=[project.slug])
    before = queries(client, listed)
    close(conversation=conversation)
    for number in range(3):
        another = talk(project, ann, f"Hello {number}.")
        answered(another, ANSWERS)
        close(conversation=another)
    begin(project=project, labeler=ann)
    assert queries(client, listed) == before
