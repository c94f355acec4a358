"""Projects over REST."""

from __future__ import annotations

import pytest

from labeling.models import Membership, Project
from tests.factories import make_labeler, make_manager, make_project, make_researcher, make_user

pytestmark = pytest.mark.django_db
PROJECTS = "/api/v1/projects/"


def test_each_sees_the_own_projects(api):
    mine, _other = make_project(), make_project()
    rows = api(make_labeler(mine)).get(PROJECTS).json()["results"]
    assert [row["slug"] for row in rows] == [mine.slug]
    assert len(api(make_user(superuser=True)).get(PROJECTS).json()["results"]) == 2


def test_a_manager_makes_a_project_and_manages_it(api):
    manager = make_manager(make_project())
    body = {"name": "Grüße & more", "k": 5, "guidelines": "Be kind."}
    answer = api(manager).post(PROJECTS, body, format="json")
    assert answer.status_code == 201
    project = Project.objects.get(slug=answer.json()["slug"])
    assert (project.name, project.k, project.guidelines_text) == ("Grüße & more", 5, "Be kind.")
    assert Membership.objects.get(project=project).user == manager


@pytest.mark.parametrize("make", [make_labeler, make_researcher])
def test_others_make_none(api, make):
    answer = api(make(make_project())).post(PROJECTS, {"name": "Mine"}, format="json")
    assert answer.status_code == 403
    assert not Project.objects.filter(name="Mine").exists()


def test_a_setting_out_of_range_is_named(api):
    answer = api(make_user(superuser=True)).post(
        PROJECTS, {"name": "P", "k": 12, "temperature": 0}, format="json"
    )
    assert answer.status_code == 400
    fault = answer.json()
    assert fault["field"] == "k"
    assert {one["field"] for one in fault["errors"]} == {"k", "temperature"}


def test_a_change_leaves_the_rest(api):
    project = make_project(guidelines="Old.")
    client = api(make_manager(project))
    answer = client.patch(f"{PROJECTS}{project.slug}/", {"slates_ahead": 3}, format="json")
    assert answer.status_code == 200
    project.refresh_from_db()
    assert (project.slates_ahead, project.guidelines_text) == (3, "Old.")


def test_only_managers_change(api):
    project = make_project()
    for make in (make_labeler, make_researcher):
        answer = api(make(project)).patch(f"{PROJECTS}{project.slug}/", {"k": 3}, format="json")
        assert answer.status_code == 403
    project.refresh_from_db()
    assert project.k == 4


def test_a_base_model_out_of_reach_is_refused_by_name(api):
    project = make_project()
    client = api(make_manager(project))
    body = {"base_model": "../secrets"}
    answer = client.patch(f"{PROJECTS}{project.slug}/", body, format="json")
    assert answer.status_code == 400
    assert answer.json()["field"] == "base_model"
    assert "whole path" in answer.json()["detail"]
