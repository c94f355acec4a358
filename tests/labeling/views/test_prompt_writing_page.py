"""The page where prompts are written: three kinds, near duplicates shown, nothing typed lost."""

from __future__ import annotations

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.guidelines import mark_read, publish
from labeling.models import FormDraft, Prompt, Role, WorkDay
from labeling.projects import archive_project, update_project
from tests.factories import make_labeler, make_manager, make_member, make_project, make_prompt
from tests.labeling.views.clients import as_user

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
FEW_SHOT = {
    "kind": "few-shot",
    "instruction": "Animal or plant?",
    "example_query": ["cat", "oak"],
    "example_response": ["animal", "plant"],
    "query": "dog",
}


@pytest.fixture
def project():
    return make_project(name="Rain", asks_prompts=True)


@pytest.fixture
def ann(project):
    return make_labeler(project)


@pytest.fixture
def client(ann):
    return as_user(ann)


@pytest.fixture
def url(project):
    return reverse("prompt-write", args=[project.slug])


def text_of(answer):
    return answer.content.decode()


def test_the_tab_is_there_where_the_project_asks_for_it(client, project, url):
    assert f'href="{url}" aria-current="page"' in text_of(client.get(url))
    update_project(project=project, asks_prompts=False)
    page = text_of(client.get(url))
    assert f'href="{url}"' not in page
    assert "does not ask for prompts" in page


def test_each_kind_is_explained_and_use_cases_are_suggested(client, project, url):
    make_prompt(project, category="weather")
    page = text_of(client.get(url))
    assert "each as different from the last" in page
    assert "An instruction, some queries with their responses" in page
    assert "Choose a use case" in page
    assert '<option value="weather">' in page
    assert '<option value="closed_qa">' in page


def test_the_guidelines_are_read_first(client, project, url):
    publish(project=project, text="Be kind.")
    answer = client.get(url)
    where = reverse("guidelines", args=[project.slug])
    assert answer["Location"] == f"{where}?then=prompt-write"


def test_the_guidelines_are_beside_it(client, project, ann, url):
    publish(project=project, text="Be **brief**.")
    mark_read(guidelines=project.guidelines, user=ann)
    assert "Be <strong>brief</strong>." in text_of(client.get(url))


def test_a_plain_prompt_is_stored_and_the_form_is_empty_again(client, ann, url):
    fields = {"kind": "plain", "text": "Explain\r\nrain.", "seconds": "9", "language": "en"}
    answer = client.post(url, fields, follow=True)
    assert "Sent: the prompt is live." in text_of(answer)
    assert "1 today" in text_of(answer)
    assert "Explain\nrain." not in re.sub(r"(?s)<li>.*?</li>", "", text_of(answer))
    made = Prompt.objects.get()
    assert (made.text, made.kind, made.created_by) == ("Explain\nrain.", "plain", ann)
    assert WorkDay.objects.get().seconds == 9


def test_a_few_shot_prompt_becomes_one_text(client, url):
    client.post(url, FEW_SHOT)
    made = Prompt.objects.get()
    assert made.text == "Animal or plant?\n\nQ: cat\nA: animal\n\nQ: oak\nA: plant\n\nQ: dog\nA:"
    assert made.kind == "few-shot"


def test_empty_examples_are_passed_over_and_half_ones_told(client, url):
    pairs = {"example_query": ["cat", "", "oak"], "example_response": ["animal", "", "plant"]}
    half = {"example_query": ["cat", "elm", "oak"], "example_response": ["animal", "", "plant"]}
    answer = client.post(url, FEW_SHOT | half)
    assert answer.status_code == 400
    assert "one lacks its query or its response" in text_of(answer)
    client.post(url, FEW_SHOT | pairs)
    assert Prompt.objects.get().text.count("Q:") == 3


def test_without_scripts_a_button_adds_an_example_and_keeps_the_rest(client, url):
    page = text_of(client.post(url, FEW_SHOT | {"more": "1"}))
    shown = page.partition("<template")[0]
    assert shown.count('name="example_query"') == 3
    assert "\noak</textarea>" in shown
    assert "\nAnimal or plant?</textarea>" in shown
    assert not Prompt.objects.exists()


def test_what_lacks_something_comes_back_whole(client, url):
    fields = {"kind": "user-based", "text": "Explain rain.", "system": "Be brief."}
    answer = client.post(url, fields | {"language": "de"})
    assert answer.status_code == 400
    page = text_of(answer)
    assert "say which use case it is about" in page
    assert "\nExplain rain.</textarea>" in page
    assert "\nBe brief.</textarea>" in page
    assert '<option value="de" selected>' in page
    assert 'value="user-based" checked' in page


def test_a_near_duplicate_is_shown_beside_and_sent_all_the_same(client, project, url):
    there = make_prompt(project, "Explain rain to a child.")
    fields = {"kind": "plain", "text": "Explain rain to my child."}
    answer = client.post(url, fields)
    assert answer.status_code == 409
    page = text_of(answer)
    assert "something very much like it" in page
    assert f'name="seen" value="{there.pk}"' in page
    assert '<mark class="only-left">my</mark>' in page
    assert '<mark class="only-right">a</mark>' in page
    assert "\nExplain rain to my child.</textarea>" in page
    again = client.post(url, fields | {"seen": there.pk})
    assert again.status_code == 409
    client.post(url, fields | {"seen": there.pk, "all_the_same": "1"})
    made = Prompt.objects.latest("pk")
    assert made.text == "Explain rain to my child."
    assert made.split == there.split == "train"


def test_a_prompt_that_is_there_already_is_told(client, project, url):
    make_prompt(project, "Explain rain to a child.")
    answer = client.post(url, {"kind": "plain", "text": "Explain rain to a child."})
    assert answer.status_code == 409
    assert "This very prompt is here already" in text_of(answer)


def test_a_double_click_stores_one_row(client, url):
    for _ in range(2):
        answer = client.post(url, {"kind": "plain", "text": "Explain rain."}, headers=HTMX)
        assert 'data-outcome="done"' in text_of(answer)
    assert Prompt.objects.count() == 1
    assert WorkDay.objects.get().prompts == 1


def test_an_archived_project_says_so_and_gives_the_text_back(client, project, url):
    archive_project(project=project)
    assert "This project is archived" in text_of(client.get(url))
    answer = client.post(url, {"kind": "plain", "text": "Explain rain."})
    assert answer.status_code == 409
    assert "\nExplain rain.</textarea>" in text_of(answer)


def test_an_expired_session_keeps_all_fields(client, url):
    client.logout()
    answer = client.post(url, FEW_SHOT)
    assert answer.status_code == 401
    for kept in ("cat", "oak", "Animal or plant?", "dog"):
        assert f'value="{kept}"' in text_of(answer)
    assert client.post(url, FEW_SHOT, headers=HTMX).status_code == 401


def test_a_researcher_does_not_write(project, url):
    assert as_user(make_member(project, Role.RESEARCHER)).get(url).status_code == 404


def test_managers_find_what_was_written_here(client, project, url):
    make_prompt(project, "Explain snow.")
    client.post(url, {"kind": "plain", "text": "Name three rivers of Asia, please."})
    manager = as_user(make_manager(project))
    where = reverse("prompt-list", args=[project.slug])
    for kind, found in (("", 2), ("any", 1), ("plain", 1), ("few-shot", 0)):
        page = manager.get(where, {"kind": kind})
        assert page.context["page"].paginator.count == found, kind
    made = Prompt.objects.latest("pk")
    page = text_of(manager.get(reverse("prompt", args=[project.slug, made.pk])))
    assert f"{made.created_by} · <time" in page


def test_the_number_of_queries_is_fixed(client, project, url):
    def count():
        with CaptureQueriesContext(connection) as captured:
            client.get(url)
        return len(captured)

    few = count()
    for number in range(12):
        make_prompt(project, f"Explain the river {number}.", category=f"c{number}", kind="plain")
    assert count() == few <= 10


@pytest.fixture
def draft_url(project):
    return reverse("prompt-draft", args=[project.slug])


def shown_part(answer):
    return text_of(answer).partition("<template")[0]


def test_what_the_script_keeps_is_there_again_on_another_machine(client, ann, url, draft_url):
    pairs = [("kind", "few-shot"), ("instruction", "Animal or plant?"), ("language", "de")]
    for query, response in (("cat", "animal"), ("oak", "plant"), ("<b>", "")):
        pairs += [("example_query", query), ("example_response", response)]
    content = json.dumps([*pairs, ("seconds", "41.5"), ("csrfmiddlewaretoken", "x")])
    answer = client.post(draft_url, {"sequence": 7, "based_on": 0, "content": content})
    assert answer.json() == {"saved": True}
    page = shown_part(as_user(ann).get(url))
    assert page.count('name="example_query"') == 3
    assert "\n&lt;b&gt;</textarea>" in page
    assert "\nAnimal or plant?</textarea>" in page
    assert 'value="few-shot" checked' in page
    assert '<option value="de" selected>' in page
    assert 'data-sequence="7" data-seconds="41.5" data-kept' in page
    older = {"sequence": 8, "based_on": 0, "content": json.dumps([("text", "older")])}
    assert client.post(draft_url, older).json() == {"saved": False}
    assert FormDraft.objects.get().content == [list(pair) for pair in [*pairs, ("seconds", "41.5")]]


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '[["text"]]', "7", '[["text","a","b"]]', "[" * 5_000]
)
def test_a_draft_that_is_none_is_refused(client, draft_url, content):
    answer = client.post(draft_url, {"sequence": 7, "content": content})
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_draft"
    assert not FormDraft.objects.exists()


def test_without_scripts_a_button_keeps_it(client, url, draft_url):
    answer = client.post(draft_url, FEW_SHOT, follow=True)
    assert "Kept as a draft." in text_of(answer)
    assert "\noak</textarea>" in shown_part(client.get(url))
    client.post(url, FEW_SHOT)
    assert "oak</textarea>" not in shown_part(client.get(url))


def test_a_form_that_is_refused_is_kept_too(client, project, url):
    make_prompt(project, "Explain rain to a child.")
    refused = client.post(url, {"kind": "plain", "text": "Explain rain to my child."})
    assert refused.status_code == 409
    sequence = FormDraft.objects.get().sequence
    assert f'data-sequence="{sequence}"' in text_of(refused)
    assert "\nExplain rain to my child.</textarea>" in shown_part(client.get(url))


def test_nobody_reads_anothers_draft(client, project, url, draft_url):
    client.post(draft_url, {"text": "Mine alone."})
    assert "Mine alone." not in text_of(as_user(make_labeler(project)).get(url))
