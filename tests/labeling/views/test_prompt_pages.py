"""Prompts on the page: listed, filtered, uploaded, withdrawn; projects made and changed."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from labeling.models import Project, Prompt, Split
from tests.factories import (
    make_labeler,
    make_manager,
    make_project,
    make_prompt,
    make_ranking,
    make_slate,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(name="Rain")


@pytest.fixture
def boss(project) -> Client:
    client = Client()
    client.force_login(make_manager(project), backend="django.contrib.auth.backends.ModelBackend")
    return client


def upload(boss, project, name, content, **fields):
    file = SimpleUploadedFile(name, content)
    fields = {"kind": "prompts", "format": "", "file": file} | fields
    return boss.post(reverse("prompt-import", args=[project.slug]), fields, follow=True)


def test_a_file_is_taken_in_and_the_page_says_how_many(boss, project):
    page = upload(boss, project, "a.txt", b"One?\nTwo?\nOne?\n").content.decode()
    assert "2 rows imported." in page
    assert "1 was there already" in page
    assert Prompt.objects.live().count() == 2


def test_fields_that_were_not_used_are_told(boss, project):
    line = b'{"prompt": "One?", "foo": 1, "b&r": 2, "category": "chat"}\n'
    page = upload(boss, project, "a.jsonl", line).content.decode()
    assert "1 row imported." in page
    assert "Fields that were not used: foo, b&amp;r<" in page
    page = upload(boss, project, "b.txt", b"Two?\n").content.decode()
    assert "not used" not in page


def test_a_broken_line_is_named_and_nothing_is_taken_in(boss, project):
    lines = b'{"prompt": "One?"}\n{"prompt": 7}\n{"prompt": \n'
    page = upload(boss, project, "a.jsonl", lines).content.decode()
    assert "Nothing was imported." in page
    assert '<th scope="row" class="num">2</th>' in page
    assert '<th scope="row" class="num">3</th>' in page
    assert not Prompt.objects.live().exists()


def test_another_encoding_is_told_by_line(boss, project):
    page = upload(boss, project, "a.txt", "Grün?\nBlau über?\n".encode("latin-1"))
    assert "UTF-8" in page.content.decode()
    assert not Prompt.objects.live().exists()


def test_a_file_whose_name_tells_nothing_asks_for_its_format(boss, project):
    response = upload(boss, project, "prompts.bin", b"One?\n")
    assert response.status_code == 400
    assert "Choose a format" in response.content.decode()
    assert (
        "1 row imported."
        in upload(boss, project, "prompts.bin", b"One?\n", format="text").content.decode()
    )


def test_demonstrations_come_in_by_the_same_page(boss, project):
    line = b'{"prompt": "One?", "completion": "One."}\n'
    upload(boss, project, "d.jsonl", line, kind="demonstrations")
    assert Prompt.objects.get().demonstrations.get().text == "One."


def test_the_list_is_filtered_by_the_address(boss, project):
    make_prompt(project, "Why does it rain?", category="science")
    make_prompt(project, "Name a fruit.", category="food")
    address = reverse("prompt-list", args=[project.slug])
    assert "Name a fruit." not in boss.get(address, {"q": "rain"}).content.decode()
    assert "Why does it rain?" not in boss.get(address, {"category": "food"}).content.decode()
    split = Prompt.objects.get(category="food").split
    assert "Name a fruit." in boss.get(address, {"split": split}).content.decode()
    make_prompt(project, 'Warum ist das Gras grün? "Sag" es 大声.')
    for searched in ("grün", "大声", '"sag"', "gras GR"):
        assert "Warum ist" in boss.get(address, {"q": searched}).content.decode()
    assert "No prompt matches." in boss.get(address, {"q": "zzz"}).content.decode()


@pytest.mark.parametrize("name", ["prompt-list", "my-rankings", "project-people", "home"])
def test_a_lists_queries_do_not_grow_with_it(boss, project, name, django_assert_max_num_queries):
    def fill():
        for _ in range(3):
            make_slate(project, prompt=make_prompt(project, split=Split.TRAIN))
            make_ranking(project, make_labeler(project))
            make_manager(make_project())
        me = project.memberships.filter(role="manager").first().user
        for _ in range(2):
            make_slate(project)
            make_ranking(project, me)

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    address = reverse(name, args=[project.slug] if name != "home" else [])
    fill()
    with CaptureQueriesContext(connection) as few:
        assert boss.get(address).status_code == 200
    fill()
    with django_assert_max_num_queries(len(few)):
        boss.get(address)


def test_a_prompt_is_withdrawn_and_put_back(boss, project):
    prompt = make_slate(project).prompt
    address = reverse("prompt-withdraw", args=[project.slug, prompt.pk])
    assert "is withdrawn" in boss.post(address, follow=True).content.decode()
    assert not Prompt.objects.live().exists()
    boss.post(address)
    assert Prompt.objects.live().count() == 1


NUMBERS = (
    *("most_overlap", "correction_hours", "break_minutes", "rest_minutes", "quiz_pass"),
    *("gold_percent", "gold_window", "gold_pass", "repeat_percent"),
)


def usual() -> dict[str, object]:
    """What the form begins with of numbers that these tests leave alone."""
    return {name: Project._meta.get_field(name).get_default() for name in NUMBERS}


def test_a_manager_makes_a_project_and_is_led_to_its_prompts(boss):
    fields = {
        "name": "Weather!",
        "k": 5,
        "overlap": 2,
        "max_new_tokens": 40,
        "temperature": "0.8",
        "slates_ahead": 12,
        **usual(),
        "guidelines": "",
        "base_model": "",
    }
    response = boss.post(reverse("project-create"), fields)
    made = Project.objects.get(slug="weather")
    assert (made.k, made.overlap, made.temperature) == (5, 2, 0.8)
    assert response["Location"] == reverse("prompt-import", args=["weather"])
    refused = boss.post(reverse("project-create"), fields | {"k": 10})
    assert refused.status_code == 400
    assert 'aria-invalid="true"' in refused.content.decode()
    refused = boss.post(reverse("project-create"), fields | {"base_model": "../secrets"})
    assert refused.status_code == 400
    assert "Write the whole path" in refused.content.decode()


def test_settings_change_only_what_was_changed(boss, project):
    address = reverse("project-settings", args=[project.slug])
    fields = {
        "name": "Rain",
        "k": 4,
        "overlap": 3,
        "max_new_tokens": project.max_new_tokens,
        "temperature": project.temperature,
        "slates_ahead": project.slates_ahead,
        **usual(),
        "guidelines": "Be kind.",
        "base_model": "",
    }
    assert boss.post(address, fields).status_code == 302
    project.refresh_from_db()
    assert (project.overlap, project.guidelines_text, project.slug) == (3, "Be kind.", "rain")


def test_an_archived_project_says_so_where_one_would_rank(boss, project):
    make_slate(project)
    boss.post(reverse("project-archive", args=[project.slug]))
    page = boss.get(reverse("rank", args=[project.slug])).content.decode()
    assert "This project is archived" in page
    boss.post(reverse("project-archive", args=[project.slug]))
    assert "Rank these 4 completions" in (
        boss.get(reverse("rank", args=[project.slug])).content.decode()
    )


def test_the_first_visit_teaches_what_a_project_is():
    client = Client()
    client.force_login(
        make_user(superuser=True), backend="django.contrib.auth.backends.ModelBackend"
    )
    page = client.get("/").content.decode()
    assert "Begin with a project" in page
    stranger = Client()
    stranger.force_login(make_user(), backend="django.contrib.auth.backends.ModelBackend")
    assert "You are not in a project yet" in stranger.get("/").content.decode()


def test_a_manager_sets_a_prompts_priority(boss, project):
    prompt = make_prompt(project)
    address = reverse("prompt-priority", args=[project.slug, prompt.pk])
    page = boss.post(address, {"priority": "12"}, follow=True).content.decode()
    assert "Saved. Prompts of a higher priority come first." in page
    assert 'name="priority" min="-1000" max="1000" required value="12"' in page
    page = boss.post(address, {"priority": "5000"}, follow=True).content.decode()
    assert "Priority: must be a whole number from -1000 to 1000." in page
    assert Prompt.objects.get(pk=prompt.pk).priority == 12
