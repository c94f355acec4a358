"""The plan: rules, gate and changes to the preset, saved as a whole or not at all."""

from __future__ import annotations

import pytest
from django.urls import reverse

from training.configs import PpoConfig
from training.plans import plan_of, update_plan

PLAIN = {
    "preset": "small",
    "after_rankings": "120",
    "every_hours": "",
    "evaluation_prompts": "200",
    "kl_limit": "8",
    "length_ratio": "1.5",
    "distinct_share": "0.85",
    "blind_slates": "0",
    "blind_enough": "50",
}


@pytest.fixture
def url(seeded):
    return reverse("plan", args=[seeded.project.slug])


def test_it_saves_rules_gate_and_changes(seeded, manager, url):
    changes = {"ppo-episodes": "256", "ppo-kl_target": "none", "reward-finetune": "never"}
    assert manager.post(url, {**PLAIN, **changes}).status_code == 302
    plan = plan_of(seeded.project)
    assert (plan.after_rankings, plan.every_hours, plan.kl_limit) == (120, None, 8.0)
    assert plan.deploys_by_itself is False
    assert plan.overrides == {
        "ppo": {"episodes": 256, "kl_target": None},
        "reward": {"finetune": "never"},
    }


def test_an_emptied_field_goes_back_to_the_preset(seeded, manager, url):
    update_plan(project=seeded.project, overrides={"ppo": {"episodes": 256}})
    assert 'value="256"' in manager.get(url).content.decode()
    manager.post(url, PLAIN)
    assert plan_of(seeded.project).overrides == {}


def test_what_no_field_shows_stays_as_it_was(seeded, manager, url):
    update_plan(project=seeded.project, overrides={"judge": {"folds": 3}, "ppo": {"seed": 7}})
    manager.post(url, PLAIN)
    assert plan_of(seeded.project).overrides == {"judge": {"folds": 3}, "ppo": {"seed": 7}}


def test_the_presets_own_number_is_no_change(seeded, manager, url):
    manager.post(url, {**PLAIN, "ppo-episodes": str(PpoConfig.episodes)})
    assert plan_of(seeded.project).overrides == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [("kl_limit", "0"), ("evaluation_prompts", "3"), ("preset", "x"), ("after_rankings", "-1")],
)
def test_a_wrong_value_is_said_and_nothing_is_saved(field, value, seeded, manager, url):
    answer = manager.post(url, {**PLAIN, field: value, "ppo-episodes": "256"})
    assert answer.status_code == 400
    assert field in answer.context["form"].errors
    assert plan_of(seeded.project).overrides == {}


def test_a_change_that_cannot_run_is_said_at_its_field(seeded, manager, url):
    answer = manager.post(url, {**PLAIN, "ppo-minibatches": "3"})
    assert answer.status_code == 400
    errors = answer.context["overrides"]["ppo"].errors
    assert errors["minibatches"] == ["must divide prompts_per_batch × samples_per_prompt"]


def test_a_researcher_reads_it_without_a_button(seeded, researcher, url):
    page = researcher.get(url).content.decode()
    assert "a manager changes it" in page
    assert ">Save<" not in page
