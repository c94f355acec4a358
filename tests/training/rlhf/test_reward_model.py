"""A reward model's folder, as it comes from anybody: read whole, or refused in a sentence."""

import json

import pytest
import torch
from safetensors.torch import save_file

from training.rlhf.durable import RunError
from training.rlhf.features import feature_count
from training.rlhf.reward_model import HEAD, SETTINGS_FILE, RewardModel, load_reward_model
from training.rlhf.uncertainty import Spread

LAYERS = (1, 3)


@pytest.fixture
def folder(tiny, tmp_path):
    """A reward model with a probe, without a manifest: a test may damage it."""
    probe = torch.linspace(-1, 1, feature_count(tiny, LAYERS), dtype=torch.float64)
    RewardModel(tiny, tiny, LAYERS, probe, None, std=2.0).save(tmp_path)
    return tmp_path


def test_it_comes_back_as_it_was(folder, tiny):
    model = load_reward_model(folder, tiny)
    assert (model.layers, model.std, model.head) == (LAYERS, 2.0, None)


@pytest.mark.parametrize(
    "changed",
    [
        {"std": 0.0},
        {"std": -1.0},
        {"std": float("nan")},
        {"mean": float("inf")},
        {"max_tokens": 0},
        {"layers": []},
        {"layers": [1, 99]},
        {"layers": [0, 3]},
        {"layers": [3, 1]},
        {"layers": [1, 1]},
    ],
)
def test_settings_that_give_no_score_are_refused(folder, tiny, changed):
    kept = json.loads((folder / SETTINGS_FILE).read_text())
    (folder / SETTINGS_FILE).write_text(json.dumps({**kept, **changed}))
    with pytest.raises(RunError) as caught:
        load_reward_model(folder, tiny)
    assert caught.value.code == "checkpoint_corrupt"


@pytest.mark.parametrize(
    "weights",
    [
        lambda right: {"probe": right.log()},
        lambda right: {"probe": right[1:]},
        lambda right: {"probe": right.outer(right)},
        lambda right: {"probe": right, "head": right[:7]},
    ],
)
def test_weights_of_another_shape_and_no_numbers_are_refused(folder, tiny, weights):
    right = torch.linspace(-1, 1, feature_count(tiny, LAYERS), dtype=torch.float64)
    save_file({n: t.clone() for n, t in weights(right).items()}, folder / HEAD)
    with pytest.raises(RunError) as caught:
        load_reward_model(folder, tiny)
    assert caught.value.code == "checkpoint_corrupt"


def test_a_file_that_is_none_is_refused(folder, tiny):
    # A header that claims to be longer than any file.
    (folder / HEAD).write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(RunError) as caught:
        load_reward_model(folder, tiny)
    assert caught.value.code == "checkpoint_corrupt"


def test_how_unsure_it_is_comes_back_as_it_was(tiny, tmp_path):
    count = feature_count(tiny, LAYERS)
    spread = Spread(torch.zeros(count), torch.rand(count), torch.rand(count, 7) / count)
    probe = torch.ones(count, dtype=torch.float64)
    RewardModel(tiny, tiny, LAYERS, probe, None, spread=spread).save(tmp_path)
    again = load_reward_model(tmp_path, tiny).spread
    rows = torch.rand(5, count)
    assert again is not None
    assert again.of(rows).tolist() == spread.of(rows).tolist()


@pytest.mark.parametrize("part", ["center", "prior", "known"])
def test_a_posterior_of_other_features_is_refused(tiny, tmp_path, part):
    count = feature_count(tiny, LAYERS)
    parts = {
        "center": torch.zeros(count),
        "prior": torch.ones(count),
        "known": torch.zeros(count, 2),
    }
    parts[part] = parts[part][1:]
    probe = torch.ones(count, dtype=torch.float64)
    RewardModel(tiny, tiny, LAYERS, probe, None, spread=Spread(**parts)).save(tmp_path)
    with pytest.raises(RunError) as caught:
        load_reward_model(tmp_path, tiny)
    assert caught.value.code == "checkpoint_corrupt"
