"""The recipe `grpo` on a tiny model: it finds a planted reward, and a wrong sign does not."""

import pytest
import torch

from tests.training.rlhf.rehearsal import (
    log,
    prompt_rows,
    run_here,
    with_long_prompts,
    write_run,
)
from tests.training.rlhf.test_ppo_recipe import taste_of
from training.configs import ConfigError, GrpoConfig, PpoConfig
from training.rlhf import grpo, ppo
from training.rlhf.ppo_update import Targets
from training.rlhf.rundir import RunDirectory

pytestmark = pytest.mark.model

SMALL = {
    "episodes": 256,
    "prompts_per_batch": 8,
    "samples_per_prompt": 4,
    "max_new_tokens": 24,
    "learning_rate": 4e-3,
    "lora_rank": 8,
    "lora_top_share": 0.5,
    "development_samples": 32,
    "precision": "float32",
    "threads": 1,
}
PROMPTS = [*prompt_rows(40), *prompt_rows(16, "rm_test", 60)]


@pytest.fixture
def paths(tiny_folder, trained):
    """What a run starts from."""
    return {
        "base": str(tiny_folder),
        "reward": str(trained["reward"]),
        "judge": str(trained["judge"]),
    }


@pytest.fixture
def train(paths, tmp_path):
    """train(**config) → (metrics, folder of the run)."""

    def run(**values):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        config = GrpoConfig.from_dict({**paths, **SMALL, **values})
        return run_here(grpo.main, write_run(folder, config, prompts=PROMPTS)), folder

    return run


def weights_of(folder):
    """The trained weights and all else that the last state holds."""
    directory = RunDirectory.open(folder)
    try:
        return directory.load_state().tensors
    finally:
        directory.close()


class TestLearning:
    @pytest.mark.parametrize(
        "how",
        [
            {},
            {"baseline": "leave_one_out", "scale": "none", "average_over": "tokens"},
            {"scale": "none", "average_over": "limit"},
            {"kl_in": "loss", "kl_coefficient": 0.04},
        ],
        ids=["deepseekmath", "rloo", "dr_grpo", "kl_in_loss"],
    )
    def test_it_finds_the_planted_reward(self, train, tiny, how):
        metrics, folder = train(**how)
        assert metrics["judge_win_rate"] > 0.65
        assert metrics["reward"] > 0.5
        assert taste_of(tiny, folder / "checkpoint") > taste_of(tiny, None) + 0.1

    def test_a_wrong_sign_in_the_advantage_does_not(self, train, tiny, monkeypatch):
        right = grpo.group_advantages
        monkeypatch.setattr(grpo, "group_advantages", lambda *given: -right(*given))
        metrics, folder = train()
        assert metrics["picked_episode"] == 0
        assert taste_of(tiny, folder / "checkpoint") < taste_of(tiny, None) + 0.03

    @pytest.mark.parametrize("kl_in", ["reward", "loss"])
    def test_a_strong_penalty_holds_it_near_the_base(self, train, kl_in):
        usual = {"kl_target": None, "kl_limit": 100.0, "episodes": 128, "kl_in": kl_in}
        free, _ = train(kl_coefficient=0.01, **usual)
        held, _ = train(kl_coefficient=5.0, **usual)
        assert held["kl"] < 0.5 * free["kl"]

    def test_with_nothing_but_kl_in_the_loss_it_stays_where_it_was(self, train, monkeypatch):
        right = grpo.make_targets

        def only_kl(*given):
            found = right(*given)
            return Targets(torch.zeros_like(found.advantages), kl=found.kl)

        monkeypatch.setattr(grpo, "make_targets", only_kl)
        _, folder = train(episodes=96, kl_in="loss")
        assert all(abs(row["kl"]) < 1e-3 for row in log(folder))


class TestNumbers:
    def test_prompts_that_do_not_fit_are_counted(self, paths, tmp_path):
        config = GrpoConfig.from_dict({**paths, **SMALL, "episodes": 32, "max_prompt_tokens": 100})
        folder = write_run(tmp_path / "run", config, prompts=with_long_prompts(PROMPTS, 2, 7, 50))
        assert run_here(grpo.main, folder)["prompts_cut"] == 3

    def test_where_both_are_the_same_method_ppo_ends_with_the_same_bits(
        self, train, paths, tmp_path
    ):
        same = {"episodes": 96}
        _, ours = train(
            baseline="leave_one_out", scale="batch", average_over="tokens", kl_in="reward", **same
        )
        config = PpoConfig.from_dict({**paths, **SMALL, **same, "advantage": "rloo"})
        theirs = write_run(tmp_path / "ppo", config, prompts=PROMPTS)
        run_here(ppo.main, theirs)
        assert log(ours) == log(theirs)
        assert log(ours, "samples") == log(theirs, "samples")
        first, second = weights_of(ours), weights_of(theirs)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert (ours / "checkpoint" / "manifest.json").read_text() == (
            theirs / "checkpoint" / "manifest.json"
        ).read_text()

    @pytest.mark.parametrize("average_over", ["completions", "tokens", "limit"])
    def test_the_micro_batch_changes_nothing_beyond_rounding(
        self, train, average_over, monkeypatch
    ):
        from training.rlhf import rollouts

        usual = {"episodes": 32, "average_over": average_over, "kl_in": "loss"}
        _, whole = train(**usual)
        monkeypatch.setattr(rollouts, "MICRO_BATCH_TOKENS", 150)
        _, parts = train(**usual)
        for name in ("policy_loss", "gradient_norm", "clip_share"):
            assert log(parts)[0][name] == pytest.approx(log(whole)[0][name], rel=1e-3, abs=1e-5)

    def test_the_first_ratio_is_one_and_the_sampler_agrees(self, train):
        _, folder = train(episodes=96)
        for row in log(folder):
            assert row["ratio_first"] == pytest.approx(1, abs=1e-4)
            assert row["sampler_gap"] < 1e-4

    def test_the_same_seed_gives_the_same_numbers_and_another_others(self, train):
        first, second, other = (train(episodes=64, seed=seed) for seed in (0, 0, 1))
        assert log(first[1]) == log(second[1])
        assert log(first[1]) != log(other[1])

    def test_a_later_round_goes_on_from_an_earlier_policy(self, train):
        _, first = train(episodes=128)
        _, second = train(adapter=str(first / "checkpoint"), episodes=32)
        assert log(second)[0]["kl"] > 0.5


def test_a_config_says_all_that_is_wrong_with_it():
    with pytest.raises(ConfigError) as refused:
        GrpoConfig(
            base="b",
            reward="",
            baseline="median",
            scale="length",
            average_over="words",
            kl_in="both",
            samples_per_prompt=1,
            minibatches=3,
            kl_target=-1.0,
        )
    assert [problem.split(":")[0] for problem in refused.value.problems] == [
        "kl_target",
        "reward",
        "minibatches",
        "baseline",
        "scale",
        "average_over",
        "kl_in",
        "samples_per_prompt",
    ]
    assert "must be one of group, leave_one_out, is 'median'" in str(refused.value)


def test_the_papers_numbers_are_a_valid_config():
    config = GrpoConfig.from_preset("paper", base="b", reward="r")
    assert config.episodes_per_batch() == 1024
    assert config.batches() == 9000  # 144,000 questions, 16 a batch
