"""Prompts over REST: pages out, rows in, all or none."""

from __future__ import annotations

import pytest

from labeling.models import Prompt
from labeling.projects import archive_project
from tests.factories import make_manager, make_project, make_prompt, make_researcher

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def url(project):
    return f"/api/v1/projects/{project.slug}/prompts/"


@pytest.fixture
def client_(api, project):
    return api(make_manager(project))


def test_one_row_is_added(client_, url):
    body = {"prompt": "Name a river.", "category": "open qa", "priority": 2}
    answer = client_.post(url, body, format="json")
    assert answer.status_code == 201
    assert answer.json() == {"added": 1, "duplicates": 0, "unused": []}
    prompt = Prompt.objects.get()
    assert prompt.messages == [{"role": "user", "content": "Name a river."}]
    assert (prompt.category, prompt.priority) == ("open qa", 2)


def test_a_list_is_added_and_what_is_known_is_counted(client_, url):
    rows = [
        {"prompt": "One?"},
        {"messages": [{"role": "user", "content": "One?"}]},
        {"messages": [{"role": "system", "content": "Short."}, {"role": "user", "content": "2?"}]},
    ]
    for added, known in ((2, 1), (0, 3)):
        answer = client_.post(url, rows, format="json").json()
        assert answer == {"added": added, "duplicates": known, "unused": []}


def test_kind_and_language_are_kept_and_come_back(client_, url):
    row = {"prompt": "Nenne einen Fluss.", "kind": "user-based", "language": "DE"}
    assert client_.post(url, row, format="json").status_code == 201
    found = client_.get(url).json()["results"][0]
    assert (found["kind"], found["language"]) == ("user-based", "de")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("kind", "poem", "must be one of “plain”, “few-shot”, “user-based”"),
        ("kind", 5, "must be a text"),
        ("language", "german", "write the code of the language, here “de”"),
        ("language", "xx", "is no code of a language; write one such as “en”"),
    ],
)
def test_a_kind_or_language_that_there_is_not_is_refused(client_, url, field, value, says):
    answer = client_.post(url, {"prompt": "One?", field: value}, format="json")
    assert answer.status_code == 400
    error = answer.json()["errors"][0]
    assert (error["field"], says in error["detail"]) == (field, True), error
    assert not Prompt.objects.exists()


def test_a_misspelt_field_is_told(client_, url):
    rows = [{"prompt": "One?", "categry": "qa"}, {"prompt": "Two?", "categry": 1, "x" * 200: 0}]
    answer = client_.post(url, rows, format="json").json()
    assert answer == {"added": 2, "duplicates": 0, "unused": ["categry", "x" * 60]}


def test_a_field_whose_name_is_no_text_is_told_harmlessly(client_, url):
    body = '{"prompt": "One?", "\\ud800": 1, "": 2, "a\\u0000b": 3}'
    answer = client_.post(url, body, content_type="application/json")
    assert answer.status_code == 201
    replaced = "\N{REPLACEMENT CHARACTER}"
    assert answer.json() == {"added": 1, "duplicates": 0, "unused": [replaced, f"a{replaced}b"]}


def test_an_archived_project_takes_none(client_, url, project):
    archive_project(project=project)
    answer = client_.post(url, {"prompt": "Too late?"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "project_archived")
    assert not Prompt.objects.exists()
    assert client_.get(url).status_code == 200


def test_bad_rows_are_named_by_index_and_nothing_is_added(client_, url):
    rows = [
        {"prompt": "Fine."},
        {"prompt": ""},
        "text",
        {"messages": [{"role": "assistant", "content": "No."}]},
        {"prompt": "NUL \x00"},
        {"prompt": "half \ud800"},
        {},
    ]
    import json

    answer = client_.post(url, json.dumps(rows), content_type="application/json")
    assert answer.status_code == 400
    fault = answer.json()
    assert fault["code"] == "rows_refused"
    assert [one["index"] for one in fault["errors"]] == [1, 2, 3, 4, 5, 6]
    assert fault["errors"][2]["field"] == "messages"
    assert not Prompt.objects.exists()


def test_a_thousand_rows_fit_and_one_more_does_not(client_, url):
    rows = [{"prompt": f"Question {number}?"} for number in range(1001)]
    assert client_.post(url, rows, format="json").status_code == 400
    assert client_.post(url, [], format="json").status_code == 400
    assert client_.post(url, rows[:1000], format="json").json()["added"] == 1000


def test_a_body_that_is_too_large_is_refused_unread(client_, url, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = client_.post(url, {"prompt": "x" * 1001}, format="json")
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"


@pytest.mark.parametrize("body", [b"{", b'{"prompt": NaN}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused(client_, url, body):
    answer = client_.post(url, body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["code"] == "parse_error"


def test_another_media_type_is_refused(client_, url):
    answer = client_.post(url, "prompt=x", content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 415


def test_pages_go_through_all_in_order(api, project, url):
    made = [make_prompt(project).pk for _ in range(7)]
    client = api(make_researcher(project), "read")
    seen, address = [], f"{url}?page_size=3"
    while address:
        page = client.get(address).json()
        assert len(page["results"]) <= 3
        seen += [row["id"] for row in page["results"]]
        address = page["next"]
    assert seen == made


def test_filters(api, project, url):
    make_prompt(project, category="a")
    wanted = make_prompt(project, split="evaluation", category="b")
    client = api(make_researcher(project))
    assert [r["id"] for r in client.get(url, {"split": "evaluation"}).json()["results"]] == [
        wanted.pk
    ]
    assert [r["id"] for r in client.get(url, {"category": "b"}).json()["results"]] == [wanted.pk]
    answer = client.get(url, {"split": "nonsense"})
    assert answer.status_code == 400
    assert answer.json()["field"] == "split"
