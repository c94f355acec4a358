"""The overview says where the loop stands, where it stands still and why, and who is needed."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from labeling.completions import fail_request
from tests.factories import make_manager, make_project, make_prompt, make_ranking, make_slate
from tests.training.seeds import seed_loop
from tests.training.steps import claim, finish, make_policy
from training.models import Checkpoint, Round, Run
from training.plans import update_plan
from training.views.loop import loop_of
from training.views.needs import needs
from training.views.stages import stages


def stage(project, place):
    return stages(loop_of(project))[place]


def sentences(project):
    return [need.sentence for need in needs(loop_of(project))]


@pytest.mark.django_db
def test_an_empty_project_says_what_to_begin_with():
    project = make_project(by=None)
    make_manager(project)
    assert stage(project, 0).mark.sentence == "Nothing can begin without prompts."
    assert stage(project, 0).mark.kind == "stuck"
    assert sentences(project)[0] == "The project has no prompts."


@pytest.mark.django_db
def test_it_counts_the_rankings_that_the_next_round_waits_for():
    project = make_project(k=2)
    update_plan(project=project, after_rankings=40)
    make_ranking(project)
    make_ranking(project)
    assert stage(project, 2).count == "2"
    assert stage(project, 3).mark.sentence == "Waits for 38 more rankings."


@pytest.mark.django_db
def test_the_seven_stations_say_how_far_the_loop_has_turned(project, signed_in):
    manager = make_manager(project)
    policy = make_policy(project)  # over two rankings and eight evaluation prompts
    finish(claim())
    make_slate(project)
    reward = Checkpoint.objects.get(project=project, kind="reward")
    said = [(s.name, s.count, s.unit) for s in stages(loop_of(project))]
    assert said == [
        ("Prompts", "11", "8 for evaluation"),
        ("Completions", "12", "1 prompt ready"),
        ("Rankings", "2", "0 since the last round"),
        ("Reward model", str(reward.version), "version"),
        ("Policy", str(policy.version), "version"),
        ("Evaluation", "80 %", "wins, 72 to 87 %"),
        ("Deployed", str(policy.version), "Policy"),
    ]
    page = signed_in(manager).get(reverse("overview", args=[project.slug])).content.decode()
    shown = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    for row in said:
        assert " ".join(row) in shown


def test_a_running_step_shows_how_far_it_is(seeded):
    mark = stage(seeded.project, 4).mark
    assert mark.kind == "works"
    assert mark.sentence == "PPO: 38 % · about 5 min left"
    assert mark.href == reverse("run", args=[seeded.project.slug, seeded.ppo.pk])


def test_a_queued_run_without_a_trainer_is_stuck(seeded):
    before = timezone.now() - timedelta(minutes=5)
    Run.objects.filter(pk=seeded.ppo.pk).update(
        state=Run.State.QUEUED, created_at=before, heartbeat_at=None
    )
    assert stage(seeded.project, 4).mark.sentence == "No trainer is running."


def test_a_failed_step_needs_a_person(seeded):
    Run.objects.filter(pk=seeded.ppo.pk).update(
        state=Run.State.FAILED,
        finished_at=timezone.now(),
        error_code="disk_full",
        error_values={"path": "runs/7"},
    )
    Round.objects.filter(pk=seeded.rounds[-1].pk).update(state=Round.State.STOPPED)
    assert stage(seeded.project, 4).mark.kind == "stuck"
    assert any("The disk is full at “runs/7”" in sentence for sentence in sentences(seeded.project))


def test_a_policy_that_waits_is_said_twice(db):
    seeded = seed_loop(rounds=1, rankings=4, steps=4, live=False)
    Round.objects.filter(pk=seeded.rounds[0].pk).update(state=Round.State.WAITING)
    assert stage(seeded.project, 6).mark.sentence == "Policy 1 waits for a yes."
    assert any("waits for a decision" in sentence for sentence in sentences(seeded.project))


def test_a_poll_gets_the_line_but_not_the_trends(seeded, manager):
    url = reverse("overview", args=[seeded.project.slug])
    whole = manager.get(url).content.decode()
    part = manager.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "Rankings per day" in whole
    assert "Rankings per day" not in part
    assert 'id="loop-live"' in part


def test_it_asks_again_only_while_something_moves(seeded, manager):
    url = reverse("overview", args=[seeded.project.slug])
    assert 'hx-trigger="every 5s"' in manager.get(url).content.decode()
    Run.objects.filter(pk=seeded.ppo.pk).update(state=Run.State.CANCELLED)
    assert "hx-trigger" not in manager.get(url).content.decode()


def test_the_trends_are_there_as_csv(seeded, manager):
    lines = (
        manager.get(reverse("trends.csv", args=[seeded.project.slug])).content.decode().splitlines()
    )
    assert lines[0] == "what,which,value,low,high"
    wins = [line for line in lines if line.startswith("win_rate_over_base")]
    assert len(wins) == 2
    assert sum(line.startswith("rankings,") for line in lines) == 14


def test_a_model_that_is_not_there_is_named_by_its_path(db):
    project = make_project(base_model="some/nothing")
    request = make_prompt(project).sample_requests.create(k=4)
    fail_request(request=request, code="model_not_found", values={"path": "some/nothing"})
    said = " ".join(need.sentence for need in needs(loop_of(project)))
    assert "There is no model at “some/nothing”." in said
