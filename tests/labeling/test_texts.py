"""Texts: brought in by the file, whole or not at all; listed, taken out, put back."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from django.test import Client
from django.urls import reverse

from labeling import imports
from labeling.imports import import_file
from labeling.models import Import, Project, Text
from labeling.texts import NewText
from tests.factories import make_labeler, make_manager, make_text


def take_in(project: Project, content: str, form: str = "text") -> Import:
    return import_file(
        project=project,
        kind=Import.Kind.TEXTS,
        format=form,
        file=io.BytesIO(content.encode()),
        file_name=f"texts.{form}",
    )


def held(project: Project) -> list[str]:
    return list(
        Text.objects.live().filter(project=project).order_by("pk").values_list("text", flat=True)
    )


def test_plain_text_is_parted_by_empty_lines(project: Project) -> None:
    row = take_in(project, "\n\nOnce upon\na time.\n \n\nThe end.\n")
    assert row.state == Import.State.COMMITTED
    assert held(project) == ["Once upon\na time.", "The end."]


def test_jsonl_and_csv(project: Project) -> None:
    lines = [
        json.dumps({"text": "One.\n\nTwo.", "source": "a book"}),
        json.dumps({"text": "Three."}),
    ]
    row = take_in(project, "\n".join(lines), "jsonl")
    assert row.unused_fields == ["source"]
    take_in(project, 'text\n"Four, five"\n', "csv")
    assert held(project) == ["One.\n\nTwo.", "Three.", "Four, five"]


def test_the_same_text_again_is_the_same_row(project: Project) -> None:
    take_in(project, "One.\n\nTwo.")
    row = take_in(project, "Two.\n\nThree.\n\nThree.")
    assert (row.rows, row.duplicates) == (1, 2)
    assert held(project) == ["One.", "Two.", "Three."]


@pytest.mark.parametrize(
    ("line", "field", "message"),
    [
        ({"prompt": "x"}, "text", "is missing"),
        ({"text": ""}, "text", "is empty"),
        ({"text": 3}, "text", "must be a text"),
        ({"text": "x" * 200_001}, "text", "at most 200000"),
        ({"text": "a\ud800"}, "text", "lone surrogate"),
    ],
)
def test_a_line_that_is_no_text_is_named(
    project: Project, line: dict[str, object], field: str, message: str
) -> None:
    row = take_in(project, json.dumps({"text": "Fine."}) + "\n" + json.dumps(line), "jsonl")
    (problem,) = row.problems.all()
    assert (row.state, problem.line, problem.field) == (Import.State.REFUSED, 2, field)
    assert message in problem.message
    assert not Text.objects.exists()


def test_a_text_without_an_end_is_refused_in_constant_memory(project: Project) -> None:
    row = take_in(project, "a line of text\n" * 80_000)
    (problem,) = row.problems.all()
    assert problem.line == 1
    assert "is a text of more than" in problem.message


def test_what_an_interrupted_import_stored_is_undone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BATCH", 1)
    kind, stored = imports.KINDS[Import.Kind.TEXTS], []

    def broken(row: Import, batch: list[NewText]) -> int:
        stored.append(batch)
        if len(stored) == 2:
            raise RuntimeError("killed")
        return kind.store(row, batch)

    monkeypatch.setitem(imports.KINDS, Import.Kind.TEXTS, replace(kind, store=broken))
    with pytest.raises(RuntimeError):
        take_in(project, "One.\n\nTwo.")
    assert not Text.objects.exists()


def test_an_import_under_way_is_invisible(project: Project) -> None:
    text = make_text(project)
    Import.objects.filter(pk=text.imported_id).update(committed_at=None)
    assert held(project) == []


class TestPages:
    @pytest.fixture
    def manager(self, project: Project, client: Client) -> Client:
        client.force_login(make_manager(project))
        return client

    def page(self, client: Client, project: Project, **asked: str) -> str:
        return client.get(reverse("text-list", args=[project.slug]), asked).content.decode()

    def test_without_any_it_teaches(self, manager: Client, project: Project) -> None:
        page = self.page(manager, project)
        assert "No texts yet" in page
        assert reverse("prompt-import", args=[project.slug]) + "?kind=texts" in page

    def test_the_import_page_begins_with_texts_where_it_is_asked_so(
        self, manager: Client, project: Project
    ) -> None:
        address = reverse("prompt-import", args=[project.slug])
        page = manager.get(address, {"kind": "texts"})
        assert page.context["form"]["kind"].value() == "texts"
        assert manager.get(address, {"kind": "<b>"}).context["form"]["kind"].value() == "prompts"

    def test_an_upload_leads_to_the_texts(self, manager: Client, project: Project) -> None:
        file = io.BytesIO(b"Eins.\n\n<b>Zwei</b>.")
        file.name = "texts.txt"
        answer = manager.post(
            reverse("prompt-import", args=[project.slug]),
            {"file": file, "kind": "texts"},
            follow=True,
        )
        assert reverse("text-list", args=[project.slug]) in answer.content.decode()
        assert "&lt;b&gt;Zwei&lt;/b&gt;." in self.page(manager, project)
        assert "Eins" not in self.page(manager, project, q="zwei")

    def test_a_text_is_taken_out_and_put_back(self, manager: Client, project: Project) -> None:
        text = make_text(project)
        address = reverse("text-withdraw", args=[project.slug, text.pk])
        manager.post(address)
        assert held(project) == []
        assert "taken out" in self.page(manager, project)
        manager.post(address)
        assert held(project) == [text.text]

    def test_labelers_see_none_of_it(self, project: Project, client: Client) -> None:
        client.force_login(make_labeler(project))
        assert client.get(reverse("text-list", args=[project.slug])).status_code == 404
