"""Cautions say in words what the curves show."""

from __future__ import annotations

import pytest

from training.models import Run
from training.views.cautions import cautions


def curve(*values):
    return [[step, value] for step, value in enumerate(values, 1)]


def ppo(**config):
    return Run(kind=Run.Kind.PPO, config={"kl_limit": 10.0, **config})


STEADY = [1.0] * 9


def test_a_healthy_run_has_none():
    points = {
        "kl": curve(*[0.5 * step for step in range(9)]),
        "score": curve(*[0.2 * step for step in range(9)]),
        "entropy": curve(*STEADY),
        "length": curve(*[30.0] * 9),
        "clip_share": curve(*[0.1] * 9),
        "ratio_first": curve(*STEADY),
    }
    assert cautions(ppo(), points, {}) == []


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (
            {"kl": curve(0, 1, 2, 3, 4, 5, 6, 7, 8), "score": curve(0, 0.5, 0.9, *[1.0] * 6)},
            "KL grows faster than reward",
        ),
        ({"kl": curve(4, 8, 12)}, "above the limit of 10"),
        ({"entropy": curve(2.0, 1.6, 1.2, 0.9)}, "Entropy fell to 45 %"),
        ({"length": curve(36, 20, 12, 6)}, "shrank from 36 to 6 tokens"),
        ({"length": curve(20, 25, 30, 34)}, "grew from 20 to 34 tokens"),
        ({"clip_share": curve(0.5, 0.5, 0.5)}, "50 % of tokens are clipped"),
        ({"ratio_first": curve(1.0, 1.2)}, "The first ratio is 1.200"),
    ],
)
def test_each_fault_has_its_sentence(points, words):
    found = cautions(ppo(), points, {})
    assert len(found) == 1
    assert words in found[0]


def test_explained_variance_matters_only_where_there_is_a_critic():
    points = {"explained_variance": curve(*[-0.2] * 12)}
    assert cautions(ppo(advantage="rloo"), points, {}) == []
    assert "Explained variance" in cautions(ppo(advantage="gae"), points, {})[0]


def test_a_reward_model_at_chance_says_so():
    run = Run(kind=Run.Kind.REWARD, config={})
    assert "chance" in cautions(run, {}, {"oof_accuracy": 0.55, "oof_low": 0.48})[0]
    assert cautions(run, {}, {"oof_accuracy": 0.7, "oof_low": 0.66}) == []
