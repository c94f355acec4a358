"""A label of weight 3 counts three times as much as one of weight 1, whatever the recipe."""

import numpy as np
import pytest
import torch

from tests.training.rlhf.rehearsal import messages, run_here, two_rankings, write_run
from tests.training.rlhf.test_sft_recipe import answer_loss
from training.configs import DpoConfig, RewardConfig, SftConfig
from training.rlhf import dpo, sft
from training.rlhf.process import Control
from training.rlhf.reward_tuning import RewardTuning

pytestmark = pytest.mark.model


def test_in_sft_each_token_counts_as_its_demonstrations_weight(tiny, tiny_folder, tmp_path):
    answers = {"abba baba": 1.0, "no": 3.0}
    rows = [
        {"split": "train", "prompt": messages("say it"), "completion": text, "weight": weight}
        for text, weight in answers.items()
    ]
    values = {"epochs": 1, "batch": 2, "learning_rate": 1e-12, "validation_share": 0.0}
    config = SftConfig(base=str(tiny_folder), precision="float32", threads=1, **values)
    metrics = run_here(sft.main, write_run(tmp_path / "run", config, demonstrations=rows))
    # Nine letters and two, each with its end.
    long, short = (answer_loss(tiny, "say it", text) for text in answers)
    expected = (1 * 10 * long + 3 * 3 * short) / (1 * 10 + 3 * 3)
    assert metrics["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", ["dpo", "ipo", "plackett_luce"])
def test_in_dpo_each_ranking_counts_as_its_weight(policy, loss):
    config = DpoConfig(base="b", loss=loss, beta=1.0)
    first, second, both = (
        dpo._loss(policy, two_rankings(1.0, 3.0), chosen, config)[0].item()
        for chosen in ([0], [1], [0, 1])
    )
    assert abs(first - second) > 0.01
    assert both == pytest.approx((1 * first + 3 * second) / 4, rel=1e-5)


def test_in_reward_fine_tuning_each_ranking_counts_as_its_weight(tiny):
    """It starts at the probe's scores: the pairs of one lead by 1 and 2, the other's by −2."""
    config = RewardConfig.from_preset("paper", base="b", lora_rank=4)
    probe = torch.tensor([0.0, 1.0, -1.0, 0.0, 2.0])
    tuning = RewardTuning(tiny, config, two_rankings(1.0, 3.0), probe, chosen=range(2), key="tune")
    near, far, wrong = np.log1p(np.exp([-1, -2, 2]))
    expected = (1 * (near + far) / 2 + 3 * wrong) / 4
    assert tuning.step(0, Control()).loss == pytest.approx(expected, rel=1e-5)
