"""The OpenAPI description: complete, without warnings, with a page that tries it."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.urls import reverse

pytestmark = pytest.mark.django_db


@pytest.fixture
def schema(client):
    answer = client.get(reverse("api-schema"))
    assert answer.status_code == 200
    return answer.json()


def test_it_is_valid_and_nothing_is_guessed(tmp_path):
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yml"))


def test_every_operation_has_a_name_a_sentence_a_noun_and_says_how_it_refuses(schema):
    names = set()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["description"], where
            assert operation["tags"][0] in path, where
            refused = operation["responses"]["4XX"]["content"]["application/json"]["schema"]
            assert refused == {"$ref": "#/components/schemas/Error"}, where
            assert operation["security"] == [{"token": []}], where
            names.add(operation["operationId"])
    assert len(names) == sum(len(operations) for operations in schema["paths"].values())


def test_requests_carry_a_bearer_token(schema):
    assert schema["components"]["securitySchemes"] == {
        "token": {"type": "http", "scheme": "bearer"}
    }


def test_lists_come_in_pages(schema):
    answer = schema["paths"]["/api/v1/projects/{slug}/runs/"]["get"]
    page = answer["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    page = schema["components"]["schemas"][page.rpartition("/")[2]]
    assert set(page["properties"]) == {"next", "previous", "results"}
    assert {"cursor", "page_size"} <= {one["name"] for one in answer["parameters"]}


def test_the_page_has_nothing_inline(client):
    page = client.get(reverse("api-docs"))
    text = page.content.decode()
    assert page.status_code == 200
    assert "<style" not in text
    assert " style=" not in text
    assert text.count("<script") == text.count("<script src=") == 3
    assert "script-src 'self'" in page["Content-Security-Policy"]


def test_its_script_is_served_apart(client):
    script = client.get(reverse("api-docs"), {"script": ""})
    assert script.status_code == 200
    assert script["Content-Type"].startswith("application/javascript")
    assert reverse("api-schema") in script.content.decode()
