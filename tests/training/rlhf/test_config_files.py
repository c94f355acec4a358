"""A config.json as somebody writes it by hand: presets, and every problem at once."""

import json
from dataclasses import fields
from types import UnionType
from typing import get_args, get_type_hints

import pytest

from training.configs import (
    CONFIGS,
    ConfigError,
    DpoConfig,
    PpoConfig,
    RewardConfig,
    parse_config,
)
from training.configs.limits import LIMITS
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


def numbers_of(config):
    """The fields of a config that hold a number, or a number and null."""
    hints = get_type_hints(config)
    for item in fields(config):
        hint = hints[item.name]
        options = set(get_args(hint)) if isinstance(hint, UnionType) else {hint}
        if options & {int, float}:
            yield item.name, float in options, type(None) in options


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_no_number_is_without_limits_or_goes_beyond_them(config):
    given = {"base": "b", "reward": "r"} if hasattr(config, "reward") else {"base": "b"}
    for name, fractions, _ in numbers_of(config):
        low, high, _above = LIMITS[name]
        wrong = [low - 1, 2 * high + 1] + [float("nan"), float("inf")] * fractions
        for value in wrong:
            with pytest.raises(ConfigError) as refused:
                config(**given, **{name: value})
            assert any(p.startswith(f"{name}: must be") for p in refused.value.problems), name


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_what_may_be_null_says_so(config):
    given = {"base": "b", "reward": "r"} if hasattr(config, "reward") else {"base": "b"}
    for name, _, empty in numbers_of(config):
        if empty:
            assert getattr(config(**given, **{name: None}), name) is None
            with pytest.raises(ConfigError, match=f"{name}: must be .*, or null"):
                config(**given, **{name: -1.0})


def test_what_a_limit_leaves_out_is_said():
    assert set(problems_of(base="b", reward="r", ema=1.0, learning_rate=0.0, gamma=-0.5)) == {
        "ema: must be above 0 and at most 0.999999, or null, is 1.0",
        "learning_rate: must be above 0 and at most 1, is 0.0",
        "gamma: must be 0 to 1, is -0.5",
    }
