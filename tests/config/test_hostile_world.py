"""Whatever somebody wrote into whatever field, on no page is it more than a text."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db.models import CharField, JSONField, Model, TextField

from tests.config.test_every_url_has_a_rule import RULES, Who, World, ask, build_world
from tests.hostile import active, mark

pytestmark = pytest.mark.django_db

ATTACK = "\"'></title><img src=x onerror=alert(1)>"
MORE = "</textarea></script><script>alert(1)</script> [a](javascript:alert(1)) {{ 7 * 7 }}\n\n<b>"
MADE_HERE = set(
    """
    User.password User.username User.pseudonym User.languages User.interface_language
    Invitation.token_hash SignInLink.token_hash Token.prefix Token.token_hash Token.scopes
    Project.slug Project.completion_flags Import.format Prompt.content_hash Prompt.group
    Prompt.language SampleRequest.error_code Completion.sampling Slate.batch Assignment.language
    Assignment.order Demonstration.text_hash Text.text_hash Draft.content Tally.key
    Dataset.artifact Dataset.sha256 Plan.overrides Run.config Run.error_code RunMetric.name
    RunResult.name Checkpoint.location Checkpoint.artifact Checkpoint.sha256 Device.name Run.device
    WorkDay.category QualityFigure.category
    """.split()
)
"""What the product itself makes or has checked against a list. Whoever adds a field for texts says
by this list alone that nobody can write into it."""


def fields() -> list[tuple[type[Model], Any]]:
    """Those that hold what people, files or other machines say."""
    return [
        (model, field)
        for app in ("labeling", "training")
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, CharField | TextField | JSONField) and not field.choices
        if f"{model.__name__}.{field.name}" not in MADE_HERE
    ]


def poisoned(value: Any, text: str) -> Any:
    """JSON with `text` for each of its strings but the names of roles."""
    if isinstance(value, dict):
        return {key: value[key] if key == "role" else poisoned(value[key], text) for key in value}
    if isinstance(value, list):
        return [poisoned(one, text) for one in value]
    return text if isinstance(value, str) else value


def poison() -> dict[str, str]:
    """Write an attack into each field of each row: the mark by which it is found, by field."""
    marks = {}
    for number, (model, field) in enumerate(fields()):
        name = f"{model.__name__}.{field.name}"
        marks[name] = mark(number)
        for row in model._default_manager.all():
            text = f"{row.pk} {marks[name]} {ATTACK} {MORE}"
            if isinstance(field, JSONField):
                value = poisoned(getattr(row, field.name), text)
            else:
                value = text[: field.max_length]
            model._default_manager.filter(pk=row.pk).update(**{field.name: value})
    cache.clear()
    return marks


@pytest.fixture
def hostile() -> tuple[World, dict[str, str]]:
    world = build_world()
    return world, poison()


def test_on_no_page_is_a_text_more_than_a_text(hostile: tuple[World, dict[str, str]]) -> None:
    world, marks = hostile
    found: list[str] = []
    seen = ""
    for name, rule in RULES.items():
        if name == "api-docs":
            continue  # a page of the library's, with scripts of its own and nobody's texts
        for who in (Who.MANAGER, Who.REVIEWER, Who.RESEARCHER, Who.LABELER, Who.ANONYMOUS):
            if who not in rule.get:
                continue
            answer = ask(world.client(who, api=name.startswith("api-")), "get", world.address(name))
            assert answer.status_code < 500, (name, who)
            if not answer["Content-Type"].startswith("text/html"):
                assert answer["X-Content-Type-Options"] == "nosniff"
                continue
            html = answer.content.decode()
            seen += html
            found += [f"{name} as {who.name}: {problem}" for problem in active(html)]
    assert found == [], "\n".join(found)
    shown = {name for name, one in marks.items() if one in seen}
    assert len(shown) > len(marks) / 2, sorted(set(marks) - shown)
