"""A demonstration is stored once a text, and counts while its prompt does."""

from __future__ import annotations

import pytest

from labeling.demonstrations import add_demonstration, live_demonstrations
from labeling.models import Demonstration, Import
from labeling.prompts import PromptRefused, withdraw_prompt
from tests.factories import make_demonstration, make_labeler, make_project, make_prompt

pytestmark = pytest.mark.django_db


def test_the_same_text_is_stored_once():
    project = make_project()
    prompt = make_prompt(project)
    ann = make_labeler(project)
    one = add_demonstration(prompt=prompt, text="Yes.", labeler=ann)
    assert add_demonstration(prompt=prompt, text="Yes.") == one
    assert (one.labeler, Demonstration.objects.count()) == (ann, 1)


def test_an_empty_text_is_refused():
    with pytest.raises(PromptRefused):
        add_demonstration(prompt=make_prompt(make_project()), text=" ")


def test_it_counts_until_its_prompt_is_withdrawn():
    project = make_project()
    prompt = make_prompt(project)
    made = make_demonstration(prompt)
    assert list(live_demonstrations(project)) == [made]
    withdraw_prompt(prompt=prompt)
    assert not live_demonstrations(project).exists()


def test_one_that_waits_in_an_import_is_visible_once_somebody_writes_it():
    project = make_project()
    made = make_demonstration(make_prompt(project), "Yes.")
    hidden = Import.objects.create(project=project, format="jsonl", file_name="x")
    Demonstration.objects.update(imported=hidden)
    assert not live_demonstrations(project).exists()
    add_demonstration(prompt=made.prompt, text="Yes.")
    assert list(live_demonstrations(project)) == [made]
