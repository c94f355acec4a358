"""The rate that each step of a recipe is taken at, against its schedule worked out by hand."""

import pytest

from tests.training.rlhf.rehearsal import log, messages, prompt_rows, run_here, write_run
from training.configs import (
    DpoConfig,
    GrpoConfig,
    PpoConfig,
    PretrainConfig,
    RejectionConfig,
    RewardConfig,
    SftConfig,
)
from training.rlhf import dpo, grpo, ppo, pretrain, rejection, reward, sft

pytestmark = pytest.mark.model

PEAK = 1e-3
COMMON = {"learning_rate": PEAK, "precision": "float32", "threads": 1}
POLICY = {"lora_rank": 4, "max_new_tokens": 8, "development_samples": 4, "evaluate_every": 1000}
ONLINE = {"prompts_per_batch": 2, "samples_per_prompt": 2, "episodes": 12}
PROMPTS = [*prompt_rows(16), *prompt_rows(4, "rm_test", 60)]
WARMED_COSINE = [0.5, 1.0, 0.775, 0.325]
"""Four steps, the first of them to warm up: ½; then .1 + .45 (1 + cos x), x = 0, π/3, 2π/3."""
COSINE = [1.0, 0.8682, 0.55, 0.2318]
"""Four steps: .1 + .45 (1 + cos x), x = 0, π/4, π/2, 3π/4."""


@pytest.fixture
def shares(tiny_folder, tmp_path):
    """shares(recipe, Config, tables, **config) → of the peak, in the order of the steps."""

    def run(recipe, kind, tables, **values):
        config = kind.from_dict({"base": str(tiny_folder), **COMMON, **values})
        folder = write_run(tmp_path / "run", config, **tables)
        run_here(recipe.main, folder)
        return [row["learning_rate"] / PEAK for row in log(folder) if "learning_rate" in row]

    return run


@pytest.mark.parametrize(("recipe", "kind"), [(ppo, PpoConfig), (grpo, GrpoConfig)])
class TestOnline:
    def test_it_warms_up_from_a_tenth(self, shares, trained, recipe, kind):
        values = {**POLICY, **ONLINE, "reward": str(trained["reward"]), "warmup_steps": 2}
        found = shares(recipe, kind, {"prompts": PROMPTS}, **values)
        assert found == pytest.approx([0.1, 0.55, 1.0])

    def test_annealed_it_falls_in_a_straight_line(self, shares, trained, recipe, kind):
        values = {**POLICY, **ONLINE, "reward": str(trained["reward"]), "anneal": True}
        found = shares(recipe, kind, {"prompts": PROMPTS}, **values)
        assert found == pytest.approx([1.0, 2 / 3, 1 / 3])


def test_of_dpo_it_warms_up_from_a_tenth(shares, ranked):
    tables = {"rankings": ranked[:3], "prompts": PROMPTS}
    found = shares(dpo, DpoConfig, tables, **POLICY, epochs=1, batch=1, warmup_steps=2)
    assert found == pytest.approx([0.1, 0.55, 1.0])


def test_of_sft_it_falls_by_a_cosine_after_the_warm_up(shares):
    rows = [
        {"split": "train", "prompt": messages(f"say it {n}"), "completion": "abba"}
        for n in range(4)
    ]
    values = {"epochs": 2, "batch": 2, "warmup_share": 0.25, "validation_share": 0.0}
    assert shares(sft, SftConfig, {"demonstrations": rows}, **values) == pytest.approx(
        WARMED_COSINE
    )


def test_of_pretrain_it_falls_by_a_cosine_after_the_warm_up(shares):
    rows = [{"split": "train", "text": f"once upon a time {n}"} for n in range(2)]
    values = {"epochs": 4, "batch": 2, "warmup_share": 0.25, "validation_share": 0.0}
    assert shares(pretrain, PretrainConfig, {"texts": rows}, **values) == pytest.approx(
        WARMED_COSINE
    )


def test_of_rejection_it_falls_by_a_cosine_after_the_warm_up(shares, trained):
    values = {**POLICY, **ONLINE, "episodes": 8, "epochs": 2, "batch": 2, "warmup_share": 0.25}
    values["reward"] = str(trained["reward"])
    found = shares(rejection, RejectionConfig, {"prompts": PROMPTS}, **values)
    assert found == pytest.approx(WARMED_COSINE)


def test_of_reward_fine_tuning_it_falls_by_a_cosine(shares, ranked):
    """Twice: on 8 of 10 prompts to see whether it helps, and on all of them."""
    values = {"finetune": "always", "epochs": 4, "batch": 16, "lora_rank": 4}
    found = shares(reward, RewardConfig, {"rankings": ranked[:10]}, **values)
    assert found == pytest.approx(COSINE * 2, abs=1e-4)
