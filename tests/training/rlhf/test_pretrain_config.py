"""What pretraining can be told, and what it refuses, all of it at once."""

import pytest

from training.configs import ConfigError, PretrainConfig, parse_config


def problems(**values):
    with pytest.raises(ConfigError) as refused:
        PretrainConfig(**values)
    return {problem.split(":")[0]: problem for problem in refused.value.problems}


def test_from_scratch_it_needs_no_base_else_it_does():
    PretrainConfig(start="scratch")
    assert set(problems(start="base")) == {"base"}


def test_it_is_read_back_as_it_was_written():
    config = PretrainConfig.from_preset("paper", start="scratch")
    assert parse_config(config.to_json()) == config
    assert (config.layers, config.hidden, config.intermediate) == (12, 768, 3072)


def test_an_impossible_architecture_says_all_that_is_wrong():
    found = problems(
        start="scratch", hidden=100, heads=8, kv_heads=3, vocabulary=100, window=4096, threads=-1
    )
    assert set(found) == {"hidden", "kv_heads", "vocabulary", "window", "threads"}
    assert "multiple of twice the heads (16)" in found["hidden"]


def test_numbers_that_cannot_be_are_refused():
    found = problems(base="b", window=1, batch=0, epochs=0, validation_share=1.0, weight_decay=-1)
    assert set(found) == {"window", "batch", "epochs", "validation_share", "weight_decay"}


@pytest.mark.parametrize(("hidden", "width"), [(576, 1536), (256, 704), (64, 192)])
def test_the_gated_layer_is_eight_thirds_as_wide(hidden, width):
    assert PretrainConfig(start="scratch", hidden=hidden, heads=4).gated_width == width
