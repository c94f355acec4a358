"""A loop that nothing will move says why, and what to do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from labeling.assignments import skip
from labeling.leasing import lease_next
from labeling.models import Ranking
from labeling.prompts import withdraw_prompt
from labeling.weights import set_weight
from tests.factories import make_labeler, make_manager, make_project, make_prompt, make_ranking
from tests.training import steps
from training import deployments
from training.models import Round
from training.plans import update_plan
from training.rounds import MIN_EVALUATION_PROMPTS
from training.rules import new_rankings
from training.sampling import ask_for_stock
from training.views.loop import loop_of
from training.views.needs import needs
from training.views.stages import stages

RANKED = "All prompts are ranked by this policy."


@pytest.fixture
def project(db):
    """Trains by hand; one prompt, which is ranked."""
    project = make_project(base_model="some-model", k=2, slates_ahead=2)
    update_plan(project=project, after_rankings=None)
    make_ranking(project)
    return project


def mark(project, place=2):
    return stages(loop_of(project))[place].mark.sentence


def needed(project):
    return next((one for one in needs(loop_of(project)) if "Add prompts" in one.sentence), None)


def test_where_all_prompts_are_ranked_it_says_so_with_the_ways_out(project, signed_in):
    assert ask_for_stock(project) == []
    assert mark(project) == RANKED
    page = signed_in(make_manager(project)).get(reverse("overview", args=[project.slug]))
    text = page.content.decode()
    assert f"{RANKED} Add prompts, start a round, or set a rule" in text
    for name in ("prompt-import", "round-list", "plan"):
        assert f'class="button small" href="{reverse(name, args=[project.slug])}"' in text


def test_a_prompt_that_is_left_will_be_written_for(project):
    make_prompt(project)
    assert mark(project) == "Nothing to rank until completions are written."
    assert needed(project) is None
    assert len(ask_for_stock(project)) == 1
    assert mark(project) == "Nothing to rank until completions are written."


def test_a_rule_that_asks_for_more_rankings_moves_it_again(project):
    update_plan(project=project, after_rankings=40)
    assert mark(project) == "Nothing to rank until completions are written."
    assert needed(project) is None
    assert len(ask_for_stock(project)) == 1


def test_a_new_policy_has_all_prompts_before_it(project):
    deployments.deploy(checkpoint=steps.make_policy(project), by=None)
    Round.objects.update(state=Round.State.DEPLOYED)
    assert mark(project) != RANKED
    assert len(ask_for_stock(project)) > 0


def test_what_is_with_a_labeler_or_skipped_is_not_ranked(project):
    ann = make_labeler(project)
    steps.factories.make_slate(project)
    taken = lease_next(project=project, labeler=ann)
    said = "What is left is with labelers, was skipped, or waits for a second opinion."
    assert mark(project) == said
    skip(assignment=taken, labeler=ann)
    assert mark(project) == said


def test_while_a_round_is_under_way_nobody_is_needed(project):
    steps.start(project, rankings=0)
    assert mark(project) == RANKED
    assert needed(project) is None


# --- when the next round begins ---


def rule(project, rankings, *, evaluation=MIN_EVALUATION_PROMPTS):
    update_plan(project=project, after_rankings=rankings)
    for _ in range(evaluation):
        make_prompt(project, split="evaluation")


def test_it_counts_rankings_as_the_rule_does(project):
    withdrawn = make_ranking(project)
    rule(project, 2)
    assert mark(project, 3) == "The next round is about to begin."
    withdraw_prompt(prompt=withdrawn.slate.prompt)
    assert new_rankings(project) == 1
    assert mark(project, 3) == "Waits for 1 more ranking."
    assert stages(loop_of(project))[2].unit == "1 since the last round"
    assert stages(loop_of(project))[2].count == "1"


def test_work_that_counts_nothing_does_not_bring_the_next_round_nearer(project):
    careless = make_labeler(project)
    make_ranking(project, careless)
    rule(project, 2)
    assert mark(project, 3) == "The next round is about to begin."
    boss = make_manager(project)
    set_weight(project=project, labeler=careless, weight=0.0, by=boss, reason="Careless.")
    assert new_rankings(project) == 1
    assert mark(project, 3) == "Waits for 1 more ranking."


def test_a_rule_of_no_rankings_waits_for_one(db):
    project = make_project()
    rule(project, 0)
    assert mark(project, 3) == "Waits for 1 more ranking."


def test_a_round_without_evaluation_prompts_is_not_about_to_begin(project):
    rule(project, 1, evaluation=MIN_EVALUATION_PROMPTS - 1)
    assert mark(project, 3) == "The next round waits for more prompts for evaluation."
    said = [need.sentence for need in needs(loop_of(project))]
    assert any("takes at least 8 prompts for evaluation" in sentence for sentence in said)


def test_a_round_that_does_not_begin_is_said(project):
    rule(project, 1)
    Ranking.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    make_ranking(project)  # one more does not make it young again
    assert mark(project, 3) == "The next round is due and did not begin."
    said = [need.sentence for need in needs(loop_of(project))]
    assert "The next round is due and did not begin. Start it by hand to see why." in said
