"""A project's plan, and how it becomes a run's frozen config."""

from __future__ import annotations

import pytest

from labeling.models import Project
from training.configs import CONFIGS
from training.plans import InvalidPlan, plan_of, update_plan
from training.run_configs import JUDGE_SEED, RECIPES, InvalidConfig, editable_fields, run_config


def test_every_kind_of_run_has_a_config_that_runs(project: Project) -> None:
    for preset in ("small", "paper"):
        plan = update_plan(project=project, preset=preset)
        for kind in RECIPES:
            config = run_config(plan=plan, project=project, kind=kind, seed=3)
            assert config["recipe"] in CONFIGS
            assert config["preset"] == preset
            assert config["seed"] == (3 + JUDGE_SEED if kind == "judge" else 3)
            assert not {"base", "reward", "adapter"} & set(config), "no paths are stored"


def test_the_project_decides_how_is_sampled(project: Project) -> None:
    plan = update_plan(project=project, kl_limit=7.0)
    project.max_new_tokens, project.temperature = 33, 0.7
    config = run_config(plan=plan, project=project, kind="ppo", seed=0)
    assert (config["max_new_tokens"], config["temperature"], config["kl_limit"]) == (33, 0.7, 7.0)
    evaluate = run_config(plan=plan, project=project, kind="evaluate", seed=0)
    assert evaluate["temperature"] == 1.0


def test_the_paper_preset_mixes_in_texts_where_there_are_some(project: Project) -> None:
    plan = update_plan(project=project, preset="paper")
    config = run_config(plan=plan, project=project, kind="ppo", seed=0)
    assert config["ptx_coefficient"] == 0.0, "the data hold no texts"
    config = run_config(plan=plan, project=project, kind="ppo", seed=0, has_texts=True)
    assert config["ptx_coefficient"] == 27.8
    assert config["kl_coefficient"] == 0.02
    assert config["advantage"] == "gae"


def test_overrides_go_over_the_preset_and_changes_over_both(project: Project) -> None:
    plan = update_plan(project=project, overrides={"ppo": {"episodes": 64, "epochs": 1}})
    config = run_config(plan=plan, project=project, kind="ppo", seed=0, changes={"episodes": 128})
    assert (config["episodes"], config["epochs"]) == (128, 1)


def test_a_judge_can_have_its_own_overrides(project: Project) -> None:
    overrides = {"reward": {"folds": 4}, "judge": {"folds": 3}}
    plan = update_plan(project=project, overrides=overrides)
    assert run_config(plan=plan, project=project, kind="reward", seed=0)["folds"] == 4
    assert run_config(plan=plan, project=project, kind="judge", seed=0)["folds"] == 3


@pytest.mark.parametrize(
    "overrides",
    [
        {"pppo": {"episodes": 3}},
        {"ppo": {"episode": 3}},
        {"ppo": {"episodes": -1}},
        {"ppo": {"reward": "/etc"}},
        {"ppo": 3},
        {"judge": {"folds": 1}},
        {"sft": {"threads": 10**6}},
    ],
)
def test_overrides_that_cannot_run_are_refused(
    project: Project, overrides: dict[str, object]
) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        update_plan(project=project, overrides=overrides)
    assert refusal.value.problems
    assert plan_of(project).overrides == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [("kl_limit", 0.0), ("length_ratio", 0.5), ("distinct_share", 1.5), ("preset", "huge")],
)
def test_a_value_out_of_range_is_refused_by_its_name(
    project: Project, field: str, value: object
) -> None:
    with pytest.raises(InvalidPlan) as refusal:
        update_plan(project=project, **{field: value})
    assert field in refusal.value.problems


def test_what_the_round_decides_is_not_editable() -> None:
    assert "base" not in editable_fields("ppo")
    assert "role" not in editable_fields("judge")
    assert "episodes" in editable_fields("ppo")
