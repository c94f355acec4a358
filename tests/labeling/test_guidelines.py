"""Guidelines are versions; each is read once by each person before the work goes on."""

from __future__ import annotations

import pytest

from labeling.guidelines import last_read, mark_read, publish, to_be_read
from labeling.models import Guidelines
from labeling.projects import update_project
from tests.factories import make_labeler, make_manager, make_project

pytestmark = pytest.mark.django_db


def test_a_project_begins_with_version_one_or_none():
    assert make_project().guidelines is None
    project = make_project(guidelines="Be kind.")
    assert (project.guidelines.version, project.guidelines_text) == (1, "Be kind.")


def test_a_change_is_a_new_version_and_the_old_one_stays():
    project = make_project(guidelines="One.")
    manager = make_manager(project)
    update_project(project=project, by=manager, guidelines="Two.\r\n")
    assert (project.guidelines.version, project.guidelines_text) == (2, "Two.")
    assert project.guidelines.created_by == manager
    assert list(project.guideline_versions.values_list("version", "text")) == [
        (2, "Two."),
        (1, "One."),
    ]


def test_the_same_text_again_is_no_new_version():
    project = make_project(guidelines="One.")
    update_project(project=project, guidelines=" One.\n", k=3)
    assert Guidelines.objects.count() == 1


def test_a_labeler_reads_each_version_once():
    project = make_project(guidelines="One.")
    ann = make_labeler(project)
    first = project.guidelines
    assert to_be_read(project=project, user=ann) == first
    mark_read(guidelines=first, user=ann)
    mark_read(guidelines=first, user=ann)
    assert to_be_read(project=project, user=ann) is None
    publish(project=project, text="Two.")
    assert to_be_read(project=project, user=ann).version == 2
    assert last_read(project=project, user=ann) == first


def test_who_published_has_read_it_and_empty_ones_need_no_reading():
    project = make_project(guidelines="One.")
    manager = make_manager(project)
    publish(project=project, text="Two.", by=manager)
    assert to_be_read(project=project, user=manager) is None
    publish(project=project, text="")
    assert to_be_read(project=project, user=make_labeler(project)) is None
    assert project.guidelines.version == 3
