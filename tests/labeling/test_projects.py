"""A project has a slug of its own, settings in their ranges, and is seen by its people only."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser

from labeling.models import Membership, Project, Role
from labeling.projects import (
    ProjectRefused,
    archive_project,
    create_project,
    restore_project,
    update_project,
)
from tests.factories import make_labeler, make_manager, make_project, make_slate, make_user

pytestmark = pytest.mark.django_db


def test_its_creator_manages_it():
    user = make_user()
    project = create_project(by=user, name="  Poems ", k=6)
    assert (project.name, project.slug, project.k) == ("Poems", "poems", 6)
    assert Membership.objects.get(project=project).role == Role.MANAGER


def test_slugs_are_unique_also_where_the_name_has_no_latin_letters():
    names = ["Poems", "poems!", "Poems", "诗", "诗"]
    slugs = [create_project(by=None, name=name).slug for name in names]
    assert slugs == ["poems", "poems-2", "poems-3", "project", "project-2"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("k", 1),
        ("k", 10),
        ("k", "many"),
        ("overlap", 0),
        ("temperature", 0),
        ("max_new_tokens", 0),
        ("slates_ahead", 0),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(field, value):
    with pytest.raises(ProjectRefused) as refused:
        create_project(by=None, **{"name": "x", field: value})
    assert list(refused.value.fields) == [field]
    project = make_project()
    with pytest.raises(ProjectRefused):
        update_project(project=project, **{field: value})


@pytest.mark.parametrize(
    "name",
    [
        "../models",
        "tests",
        "tests/labeling",
        "owner/name/more",
        "~/model",
        ".",
        "a b",
        "{}/nothing",
    ],
)
def test_a_base_model_is_a_whole_path_or_a_hub_name(name, tmp_path):
    with pytest.raises(ProjectRefused) as refused:
        update_project(project=make_project(), base_model=name.format(tmp_path))
    assert list(refused.value.fields) == ["base_model"]


def test_a_base_model_is_not_read_from_the_data_folder(tmp_path, settings):
    settings.DATA_DIR = tmp_path / "data"
    kept, models = tmp_path / "data" / "artifacts", tmp_path / "data" / "models" / "small"
    outside, link = tmp_path / "elsewhere", tmp_path / "link"
    for folder in (kept, models, outside):
        folder.mkdir(parents=True)
    link.symlink_to(kept)
    project = make_project()
    for folder in (kept, link, tmp_path, settings.DATA_DIR, outside / ".." / "data" / "artifacts"):
        with pytest.raises(ProjectRefused, match="data folder"):
            update_project(project=project, base_model=str(folder))
    for name in (str(models), str(outside), "owner/some-model.v2", "gpt2", ""):
        update_project(project=project, base_model=name)
        project.refresh_from_db()
        assert project.base_model == name


def test_changes_leave_existing_slates_as_they_are():
    project = make_project(k=4, overlap=1)
    slate = make_slate(project)
    update_project(project=project, k=2, overlap=3, guidelines="Be kind.")
    project.refresh_from_db()
    assert (project.k, project.overlap, project.guidelines_text) == (2, 3, "Be kind.")
    assert (slate.items.count(), slate.assignments.count()) == (4, 1)


def test_what_is_no_setting_cannot_be_set():
    with pytest.raises(TypeError):
        update_project(project=make_project(), slug="other")


def test_an_archived_project_can_be_restored():
    project = make_project()
    archive_project(project=project)
    assert not Project.objects.open().exists()
    restore_project(project=project)
    assert Project.objects.open().get() == project


def test_people_see_the_projects_of_their_roles():
    mine, other = make_project(), make_project()
    labeler, manager = make_labeler(mine), make_manager(mine)
    seen = Project.objects.visible_to
    assert list(seen(labeler)) == [mine]
    assert list(seen(labeler, Role.MANAGER)) == []
    assert list(seen(manager, Role.MANAGER, Role.RESEARCHER)) == [mine]
    assert set(seen(make_user(superuser=True))) == {mine, other}
    assert list(seen(AnonymousUser())) == []
