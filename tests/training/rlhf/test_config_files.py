"""A config.json as somebody writes it by hand: presets, and every problem at once."""

import json

import pytest

from training.configs import ConfigError, DpoConfig, PpoConfig, RewardConfig, parse_config
from training.rlhf import reward
from training.rlhf.process import run_in


def problems_of(**values):
    with pytest.raises(ConfigError) as refused:
        PpoConfig.from_dict(values)
    return refused.value.problems


def test_unknown_mistyped_missing_and_impossible_fields_are_told_at_once():
    found = problems_of(reward="r", episdes=3, episodes="many", minibatches=-1, gamma=3.0)
    for name in ("episdes: no such field", "episodes: must be int", "base: is missing"):
        assert any(problem.startswith(name) for problem in found), name
    for name in ("minibatches", "gamma"):
        assert any(problem.startswith(f"{name}:") for problem in found), name


def test_what_is_not_named_is_the_presets():
    config = PpoConfig.from_dict({"base": "b", "reward": "r", "preset": "paper", "epochs": 2})
    assert config == PpoConfig.from_preset("paper", base="b", reward="r", epochs=2)
    assert (config.kl_coefficient, config.epochs) == (0.02, 2)


def test_a_whole_config_is_read_as_it_was_written():
    config = RewardConfig.from_preset("paper", base="b", learning_rate=1e-4)
    assert parse_config(config.to_json()) == config


def test_a_run_without_a_base_ends_with_that_sentence(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"recipe": "reward", "folds": 1}))
    assert run_in(tmp_path, reward.main, "reward") == 1
    error = json.loads((tmp_path / "result.json").read_text())["error"]
    assert error["code"] == "config_invalid"
    assert "base: is missing" in error["values"]["problems"]
    assert "folds" in error["values"]["problems"]


def test_a_recipe_that_begins_from_nothing_needs_no_base():
    config = parse_config('{"recipe": "pretrain", "start": "scratch"}')
    assert config.base == ""


def test_without_a_preset_it_is_the_products_own():
    assert DpoConfig.from_dict({"base": "b"}) == DpoConfig.from_preset("small", base="b")
