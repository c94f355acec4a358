"""The page where answers are written: given out, kept, shown, sent, passed on, listed."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.demonstrations import accept_demonstration, propose_demonstration
from labeling.guidelines import publish
from labeling.models import Demonstration, Membership, Role, WorkDay, WritingTask
from labeling.pauses import pause
from labeling.projects import archive_project, update_project
from labeling.prompts import withdraw_prompt
from tests.factories import (
    make_labeler,
    make_manager,
    make_member,
    make_project,
    make_prompt,
    make_writing_task,
)
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def project():
    return make_project(name="Rain", asks_demonstrations=True)


@pytest.fixture
def ann(project):
    return make_labeler(project)


@pytest.fixture
def client(ann):
    return as_user(ann)


@pytest.fixture
def task(project, ann):
    return make_writing_task(project, ann)


def at(task, name, **kwargs):
    return reverse(name, args=[task.project.slug, task.pk])


def write_page(project):
    return reverse("demonstration-write", args=[project.slug])


def text_of(answer):
    return answer.content.decode()


def test_the_prompt_stands_beside_the_text(client, project):
    prompt = make_prompt(project, "What is <rain>?")
    page = text_of(client.get(write_page(project)))
    assert "What is &lt;rain&gt;?" in page
    assert WritingTask.objects.get().prompt == prompt


def test_the_prompts_language_is_named(client, project):
    make_prompt(project, "Was ist Regen?", language="de")
    assert "Prompt · Deutsch" in text_of(client.get(write_page(project)))


def test_the_tab_is_there_where_the_project_asks_for_it(client, project):
    address = write_page(project)
    assert f'href="{address}" aria-current="page"' in text_of(client.get(address))
    update_project(project=project, asks_demonstrations=False)
    page = text_of(client.get(address))
    assert f'href="{address}"' not in page
    assert "does not ask for demonstrations" in page


def test_there_may_be_nothing_to_write(client, project):
    page = text_of(client.get(write_page(project)))
    assert "Nothing to write right now" in page
    assert "A demonstration is the answer that you would want" in page


def test_the_guidelines_are_read_first_and_lead_back_here(client, project):
    make_prompt(project)
    publish(project=project, text="Be kind.")
    answer = client.get(write_page(project), follow=True)
    assert "I have read them" in text_of(answer)
    read = reverse("guidelines-read", args=[project.slug])
    answer = client.post(read, {"version": "1", "then": "demonstration-write"})
    assert answer["Location"] == write_page(project)
    assert "Write the ideal answer" in text_of(client.get(write_page(project)))


@pytest.mark.parametrize("then", ["", "https://example.org/", "project-settings"])
def test_after_the_guidelines_nothing_but_work_is_led_to(client, project, then):
    publish(project=project, text="Be kind.")
    read = reverse("guidelines-read", args=[project.slug])
    answer = client.post(read, {"version": "1", "then": then})
    assert answer["Location"] == reverse("rank", args=[project.slug])


def test_an_answer_is_sent_and_the_next_prompt_comes(client, project, task):
    other = make_prompt(project, priority=-1)
    answer = client.post(
        at(task, "demonstration-send"), {"text": "A\r\nB", "seconds": "7.5"}, follow=True
    )
    assert "a reviewer looks at it next" in text_of(answer)
    assert Demonstration.objects.get().text == "A\nB"
    assert WorkDay.objects.get().seconds == 7.5
    assert WritingTask.objects.get(state="open").prompt == other
    assert "1 today" in text_of(answer)


def test_a_script_gets_the_next_prompt_at_once(client, project, task):
    make_prompt(project, "What next?", priority=-1)
    answer = client.post(at(task, "demonstration-send"), {"text": "Yes."}, headers=HTMX)
    page = text_of(answer)
    assert page.lstrip().startswith('<section id="writing"')
    assert 'data-outcome="done"' in page
    assert "Next: What next?" in page


def test_a_double_click_stores_one_row(client, task):
    for _ in range(2):
        client.post(at(task, "demonstration-send"), {"text": "Yes."})
    assert Demonstration.objects.count() == 1
    assert WorkDay.objects.get().demonstrations == 1


def test_an_empty_answer_comes_back(client, task):
    answer = client.post(at(task, "demonstration-send"), {"text": "  "})
    assert answer.status_code == 400
    assert "is empty" in text_of(answer)


def test_without_scripts_the_time_since_it_was_given_out_counts(client, task):
    client.post(at(task, "demonstration-send"), {"text": "Yes."})
    assert 0 <= WorkDay.objects.get().seconds < 60


def test_a_draft_is_kept_and_an_older_one_is_not(client, task):
    def keep(text, sequence, based_on):
        content = json.dumps([["text", text], ["seconds", "3.5"]])
        fields = {"sequence": sequence, "based_on": based_on, "content": content}
        return client.post(at(task, "demonstration-draft"), fields).json()

    assert keep("Rain", 10, 0) == {"saved": True}
    assert keep("old", 5, 0) == {"saved": False}
    task.refresh_from_db()
    assert (task.text, task.seconds) == ("Rain", 3.5)
    assert "\nRain</textarea>" in text_of(client.get(write_page(task.project)))


@pytest.mark.parametrize("content", ["", "{", "5", '["a"]', "[[1,2,3]]", "[" * 5000])
def test_a_broken_draft_is_refused(client, task, content):
    fields = {"sequence": 1, "content": content}
    answer = client.post(at(task, "demonstration-draft"), fields)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_draft")


def test_without_scripts_a_button_keeps_the_draft(client, task):
    answer = client.post(at(task, "demonstration-draft"), {"text": "Rain"}, follow=True)
    assert "Kept as a draft." in text_of(answer)
    assert "\nRain</textarea>" in text_of(answer)


def test_the_preview_is_rendered_as_readers_see_it(client, task):
    address = at(task, "demonstration-preview")
    fragment = text_of(client.post(address, {"text": "It *rains* <b>"}, headers=HTMX))
    assert "<em>rains</em> &lt;b&gt;" in fragment
    assert "<textarea" not in fragment
    page = text_of(client.post(address, {"text": "It *rains*"}))
    assert "<em>rains</em>" in page
    assert "\nIt *rains*</textarea>" in page


def test_length_and_script_are_told(client, task):
    page = text_of(client.post(at(task, "demonstration-preview"), {"text": "雨が降る。" * 20}))
    assert "Characters: 100 · words: 20 · tokens: about 90 of 64 · Japanese" in page
    assert "The prompt is written in: Latin letters. Your answer: Japanese." in page
    assert '<p data-warning="too-long">' in page
    page = text_of(client.post(at(task, "demonstration-preview"), {"text": "It rains."}))
    assert '<p data-warning="too-long" hidden>' in page
    assert '<p data-warning="other-script" hidden>' in page


def test_passed_on_it_is_kept_and_gone(client, task):
    fields = {"reason": "unknown", "text": "Well"}
    answer = client.post(at(task, "demonstration-pass"), fields, follow=True)
    assert "Skipped." in text_of(answer)
    assert "Nothing to write right now" in text_of(answer)
    page = text_of(client.get(reverse("my-demonstrations", args=[task.project.slug])))
    assert "Kept, but not sent" in page
    assert "Well" in page


def test_a_withdrawn_prompt_says_so_and_keeps_the_text(client, task):
    withdraw_prompt(prompt=task.prompt)
    answer = client.post(at(task, "demonstration-send"), {"text": "Rain falls."})
    assert answer.status_code == 409
    assert "This prompt was withdrawn" in text_of(answer)
    assert "Rain falls." in text_of(answer)
    page = text_of(client.get(reverse("my-demonstrations", args=[task.project.slug])))
    assert "Rain falls." in page


def test_a_withdrawn_prompt_with_a_draft_is_told_and_left(client, task):
    WritingTask.objects.update(text="Rain")
    withdraw_prompt(prompt=task.prompt)
    assert "This prompt was withdrawn" in text_of(client.get(write_page(task.project)))
    answer = client.post(at(task, "demonstration-pass"), {"text": "Rain"}, follow=True)
    assert "Nothing to write right now" in text_of(answer)


def test_an_archived_project_says_so_and_keeps_the_text(client, task):
    archive_project(project=task.project)
    answer = client.post(at(task, "demonstration-send"), {"text": "Rain falls."})
    assert answer.status_code == 409
    assert "This project is archived" in text_of(answer)
    assert "\nRain falls.</textarea>" in text_of(answer)
    assert WritingTask.objects.get().text == "Rain falls."
    assert "This project is archived" in text_of(client.get(write_page(task.project)))


def test_somebody_elses_answer_meanwhile_is_told_and_ones_own_is_taken(client, project, task):
    WritingTask.objects.update(text="Rain")
    propose_demonstration(prompt=task.prompt, text="Ben's.", labeler=make_labeler(project))
    assert "Somebody else has written" in text_of(client.get(write_page(project)))
    client.post(at(task, "demonstration-send"), {"text": "Ann's."})
    assert Demonstration.objects.count() == 2


def test_what_became_of_ones_answers_is_listed(client, project, ann):
    made = propose_demonstration(prompt=make_prompt(project), text="It rain.", labeler=ann)
    where = reverse("my-demonstrations", args=[project.slug])
    assert "Waits for a review" in text_of(client.get(where))
    accept_demonstration(demonstration=made, by=make_manager(project), text="It rains.")
    page = text_of(client.get(where))
    assert "Accepted in another form" in page
    assert "It rains." in page


def test_an_empty_list_says_what_it_is(client, project):
    page = text_of(client.get(reverse("my-demonstrations", args=[project.slug])))
    assert "You have written nothing here yet" in page


def test_anothers_task_is_not_there(project, task):
    other = as_user(make_labeler(project))
    for name in ("send", "draft", "preview", "pass"):
        assert other.post(at(task, f"demonstration-{name}"), {"text": "x"}).status_code == 404


def test_a_researcher_does_not_write(project):
    client = as_user(make_member(project, Role.RESEARCHER))
    assert client.get(write_page(project)).status_code == 404


def test_an_expired_session_keeps_what_was_sent(client, task):
    client.logout()
    answer = client.post(at(task, "demonstration-send"), {"text": "Rain falls."})
    assert answer.status_code == 401
    assert 'name="kept-text" value="Rain falls."' in text_of(answer)
    assert (
        client.post(at(task, "demonstration-send"), {"text": "x"}, headers=HTMX).status_code == 401
    )


def queries(client, address):
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_the_number_of_queries_is_fixed(client, project, ann):
    mine = reverse("my-demonstrations", args=[project.slug])

    def count():
        return queries(client, write_page(project)), queries(client, mine)

    make_writing_task(project, ann)
    propose_demonstration(prompt=make_prompt(project), text="One.", labeler=ann)
    few = count()
    for number in range(8):
        prompt = make_prompt(project)
        made = propose_demonstration(prompt=prompt, text=f"{number}.", labeler=ann)
        accept_demonstration(demonstration=made, by=make_manager(project), text=f"{number}!")
    WritingTask.objects.create(
        project=project, prompt=prompt, labeler=ann, state="passed", text="kept"
    )
    make_prompt(project)
    assert count() == few
    assert few[0] <= 15
    assert few[1] <= 11


def test_who_is_paused_meanwhile_can_send_and_gets_no_other(client, project, ann, task):
    make_prompt(project)
    pause(membership=Membership.objects.get(user=ann), by=None)
    answer = client.post(at(task, "demonstration-send"), {"text": "It rains."}, headers=HTMX)
    assert answer.headers["HX-Redirect"] == reverse("rank", args=[project.slug])
    assert Demonstration.objects.get().text == "It rains."
    assert WritingTask.objects.count() == 1
