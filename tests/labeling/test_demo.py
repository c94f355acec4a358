"""The demo project is made once, through the same import as anybody's file."""

from __future__ import annotations

import pytest

from labeling.demo import create_demo_project
from labeling.models import Project, Prompt, Role, Split
from labeling.prompt_writing import USE_CASES
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_it_has_a_thousand_prompts_and_two_hundred_for_evaluation():
    owner = make_user()
    project = create_demo_project(owner=owner)
    prompts = Prompt.objects.live().filter(project=project)
    assert prompts.count() >= 1000
    assert prompts.filter(split=Split.EVALUATION).count() >= 200
    assert set(prompts.values_list("category", flat=True)) == set(USE_CASES)
    assert owner.memberships.get().role == Role.MANAGER


def test_a_second_start_changes_nothing():
    owner = make_user()
    create_demo_project(owner=owner)
    count = Prompt.objects.count()
    assert create_demo_project(owner=owner) == Project.objects.get()
    assert Prompt.objects.count() == count


def test_a_start_that_broke_off_is_finished():
    owner = make_user()
    project = create_demo_project(owner=owner)
    Prompt.objects.all().delete()
    project.imports.all().delete()
    create_demo_project(owner=owner)
    assert Prompt.objects.count() >= 1000
