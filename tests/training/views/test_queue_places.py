"""One queue of all projects: the same number on every page, and how many of others come before."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.factories import make_project
from tests.training.views.test_run_pages import copy_of
from training.models import Run
from training.queue_places import QueuePlace, place_of_run, queue_places


def queued(run, project=None):
    new = copy_of(run, state=Run.State.QUEUED)
    if project is not None:
        Run.objects.filter(pk=new.pk).update(project=project)
    return new


def run_list(seeded):
    return reverse("run-list", args=[seeded.project.slug])


def test_places_count_all_projects_and_no_running_run(seeded):
    assert seeded.ppo.state == Run.State.RUNNING
    first = queued(seeded.ppo)
    other = make_project(name="Another team's")
    queued(seeded.ppo, other)
    queued(seeded.ppo, other)
    last = queued(seeded.ppo)
    places = queue_places(seeded.project)
    assert places == {
        first.pk: QueuePlace(number=1, others=0),
        last.pk: QueuePlace(number=4, others=2),
    }
    assert place_of_run(last) == places[last.pk]
    assert place_of_run(seeded.ppo) is None


def test_the_list_and_the_runs_page_say_the_same(seeded, manager):
    other = make_project(name="Another team's")
    queued(seeded.ppo, other)
    mine = queued(seeded.ppo)
    listed = manager.get(run_list(seeded)).content.decode()
    assert "number 2 in the queue, 1 run of another project before it" in listed
    page = manager.get(reverse("run", args=[seeded.project.slug, mine.pk])).content.decode()
    assert "Number 2 in the queue. 1 run of another project is before it." in page
    assert "Another team" not in listed + page


def test_alone_in_the_queue_nothing_is_said_of_others(seeded, manager):
    queued(seeded.ppo)
    page = manager.get(run_list(seeded)).content.decode()
    assert "number 1 in the queue<" in page
    assert "other project" not in page


def test_a_longer_queue_takes_no_more_queries(seeded, manager):
    def queries():
        with CaptureQueriesContext(connection) as caught:
            manager.get(run_list(seeded))
        return len(caught)

    queued(seeded.ppo)
    few = queries()
    for _ in range(3):
        queued(seeded.ppo)
    assert queries() == few
