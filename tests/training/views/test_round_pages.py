"""Rounds: started by hand, shown step by step, resumed, cancelled, refused."""

from __future__ import annotations

import errno

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_manager, make_project, make_ranking
from tests.training.seeds import seed_loop
from tests.training.steps import add_evaluation_prompts
from training import artifacts
from training.models import Round, Run
from training.rules import freeze_begun_rounds


def at(name, round_):
    return reverse(name, args=[round_.project.slug, round_.number])


@pytest.mark.django_db
def test_a_manager_starts_a_round_by_hand(signed_in):
    project = make_project(k=2)
    make_ranking(project)
    add_evaluation_prompts(project)
    client = signed_in(make_manager(project))
    answer = client.post(reverse("round-list", args=[project.slug]))
    started = Round.objects.get()
    assert answer.url == at("round", started)
    page = client.get(at("round", started))
    assert [(row.step, row.words) for row in page.context["steps"]][:2] == [
        ("freeze", "being frozen"),
        ("reward", "to come"),
    ]
    freeze_begun_rounds()
    assert started.runs.get().kind == Run.Kind.REWARD
    first = client.get(at("round", started)).context["steps"][0]
    assert (first.state, first.words) == ("done", "frozen")


def test_a_second_round_is_refused_with_a_sentence(seeded, manager):
    url = reverse("round-list", args=[seeded.project.slug])
    page = manager.post(url, follow=True).content.decode()
    assert "A round of this project is under way already." in page
    assert Round.objects.count() == 3


def test_the_steps_say_where_the_round_is(seeded, manager):
    steps = manager.get(at("round", seeded.rounds[-1])).context["steps"]
    assert [(row.step, row.state) for row in steps] == [
        ("freeze", "done"),
        ("reward", "done"),
        ("judge", "done"),
        ("best_of", "done"),
        ("ppo", "now"),
        ("evaluate", "waits"),
        ("decide", "waits"),
    ]
    assert steps[1].headline == pytest.approx(0.715)
    assert steps[1].headline_name == "accuracy, out of fold, unweighted"


def test_a_round_that_ended_early_says_how_many_rankings_are_missing(db, signed_in):
    seeded = seed_loop(rounds=1, rankings=4, steps=4, live=False)
    Round.objects.update(state=Round.State.NEEDS_RANKINGS, rankings_needed=120)
    page = signed_in(seeded.manager).get(at("round", seeded.rounds[0])).content.decode()
    assert "about 120 more" in page


def test_a_stopped_round_goes_on_from_its_failed_step(seeded, manager):
    Run.objects.filter(pk=seeded.ppo.pk).update(
        state=Run.State.FAILED, finished_at=timezone.now(), error_code="disk_full"
    )
    Round.objects.filter(pk=seeded.rounds[-1].pk).update(state=Round.State.STOPPED)
    assert (
        at("round-resume", seeded.rounds[-1])
        in manager.get(at("round", seeded.rounds[-1])).content.decode()
    )
    manager.post(at("round-resume", seeded.rounds[-1]))
    seeded.ppo.refresh_from_db()
    assert seeded.ppo.state == Run.State.QUEUED


def test_a_round_is_cancelled_with_its_run(seeded, manager):
    manager.post(at("round-cancel", seeded.rounds[-1]))
    seeded.ppo.refresh_from_db()
    assert Round.objects.get(pk=seeded.rounds[-1].pk).state == Round.State.CANCELLED
    assert seeded.ppo.cancel_requested_at is not None


def test_a_waiting_policy_is_refused(db, signed_in):
    seeded = seed_loop(rounds=1, rankings=4, steps=4, live=False)
    Round.objects.update(state=Round.State.WAITING)
    signed_in(seeded.manager).post(at("round-refuse", seeded.rounds[0]))
    assert Round.objects.get().state == Round.State.REFUSED


def test_a_poll_gets_the_steps_only(seeded, manager):
    part = manager.get(at("round", seeded.rounds[-1]), headers={"HX-Request": "true"})
    assert 'id="round-live"' in part.content.decode()
    assert "<html" not in part.content.decode()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.django_db
def test_a_full_disk_is_said_where_people_look_until_there_is_room(number, signed_in, monkeypatch):
    def put_file(path, name):
        raise OSError(number, "No space left on device", str(path))

    project = make_project(k=2)
    make_ranking(project)
    add_evaluation_prompts(project)
    client = signed_in(make_manager(project))
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "put_file", put_file)
        client.post(reverse("round-list", args=[project.slug]))
        freeze_begun_rounds()
    begun = Round.objects.get()
    assert not begun.runs.exists()
    assert "The disk is full" in client.get(at("round", begun)).context["steps"][0].failure
    overview = client.get(reverse("overview", args=[project.slug])).content.decode()
    assert "The datasets of round 1 can’t be frozen. The disk is full" in overview.replace(
        "&#x27;", "’"
    )
    freeze_begun_rounds()
    assert begun.runs.get().kind == Run.Kind.REWARD
    assert client.get(at("round", begun)).context["steps"][0].failure == ""
