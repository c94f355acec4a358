"""The recipe `ppo` on a tiny model: it finds a planted reward, and a wrong sign does not."""

import json
import math

import pytest
import torch

from tests.training.rlhf.rehearsal import (
    log,
    prompt_rows,
    run_here,
    vowels,
    with_long_prompts,
    write_run,
)
from training.configs import PpoConfig
from training.rlhf import online, ppo, ppo_update
from training.rlhf.decoding import Rollout, sample
from training.rlhf.durable import RunError
from training.rlhf.models import decode, encode_chat
from training.rlhf.policies import load_policy
from training.rlhf.process import run_in
from training.rlhf.randomness import uniforms
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
    "precision": "float32",
    "threads": 1,
}


@pytest.fixture
def fill(tiny_folder, trained, tmp_path):
    """fill(**config) → the folder of a run that has not begun."""

    def write(*, texts=None, prompts=None, **values):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        fixed = {
            "base": str(tiny_folder),
            "reward": str(trained["reward"]),
            "judge": str(trained["judge"]),
        }
        config = PpoConfig.from_dict({**fixed, **SMALL, **values})
        tables = {"prompts": prompts or [*prompt_rows(40), *prompt_rows(16, "rm_test", 60)]}
        if texts is not None:
            tables["texts"] = texts
        return write_run(folder, config, **tables)

    return write


@pytest.fixture
def train(fill):
    """train(**config) → (metrics, folder of the run)."""

    def run(**values):
        folder = fill(**values)
        return run_here(ppo.main, folder), folder

    return run


def target_of(folder):
    """The KL that a run aimed at, as its last state has it."""
    directory = RunDirectory.open(folder)
    try:
        return directory.load_state().values["controller"]["target"]
    finally:
        directory.close()


def taste_of(tiny, checkpoint, count=40):
    """Mean taste of a policy's texts on prompts that no run has seen."""
    lm = load_policy(tiny, None if checkpoint is None else str(checkpoint))
    rows = prompt_rows(count, "evaluation", 800)
    rollout = sample(
        lm,
        [encode_chat(lm, row["prompt"]) for row in rows],
        samples=2,
        max_new_tokens=24,
        temperature=1.0,
        uniforms=uniforms(3, 0, range(count), 2, 24),
    )
    texts = [decode(lm, rollout.completion(n)) for n in range(2 * count)]
    return sum(map(vowels, texts)) / len(texts)


class TestLearning:
    @pytest.mark.parametrize(
        "how",
        [{"advantage": "rloo"}, {"critic": "ridge"}, {"critic": "network", "gae_lambda": 0.95}],
        ids=["rloo", "ridge", "network"],
    )
    def test_it_finds_the_planted_reward(self, train, tiny, how):
        metrics, folder = train(**how)
        assert metrics["judge_win_rate"] > 0.65
        assert metrics["reward"] > 0.5
        assert taste_of(tiny, folder / "checkpoint") > taste_of(tiny, None) + 0.1

    def test_a_wrong_sign_in_the_advantage_does_not(self, train, tiny, monkeypatch):
        right = ppo_update.make_targets

        def turned(*arguments):
            found = right(*arguments)
            return ppo_update.Targets(-found.advantages, found.returns, found.values)

        monkeypatch.setattr(ppo, "make_targets", turned)
        metrics, folder = train()
        assert metrics["picked_episode"] == 0
        assert taste_of(tiny, folder / "checkpoint") < taste_of(tiny, None) + 0.03

    def test_without_a_learning_signal_it_stays_where_it_was(self, train, tiny, monkeypatch):
        monkeypatch.setattr(
            ppo,
            "make_targets",
            lambda _config, episodes, *_: ppo_update.Targets(torch.zeros_like(episodes.old)),
        )
        _, folder = train(episodes=128)
        assert all(abs(row["kl"]) < 1e-4 for row in log(folder))

    def test_a_strong_penalty_holds_it_near_the_base(self, train):
        free, _ = train(kl_coefficient=0.01, kl_target=None, kl_limit=100.0, episodes=128)
        held, _ = train(kl_coefficient=2.0, kl_target=None, kl_limit=100.0, episodes=128)
        assert held["kl"] < 0.5 * free["kl"]

    def test_a_run_aims_a_step_beyond_the_policy_that_it_starts_from(self, train):
        first, folder = train(episodes=128, kl_step=0.5)
        assert target_of(folder) == pytest.approx(0.5, abs=0.05)
        _, folder = train(episodes=32, kl_step=0.5, adapter=str(folder / "checkpoint"))
        assert target_of(folder) == pytest.approx(first["kl"] + 0.5, abs=0.05)


class TestNumbers:
    def test_the_first_ratio_is_one_and_the_sampler_agrees(self, train):
        _, folder = train(episodes=128)
        for row in log(folder):
            assert row["ratio_first"] == pytest.approx(1, abs=1e-4)
            assert row["sampler_gap"] < 1e-4

    def test_every_batch_has_its_curves(self, train):
        _, folder = train(episodes=96, critic="network")
        rows = log(folder)
        assert [row["step"] for row in rows] == [1, 2, 3]
        curves = "reward score kl beta entropy length clip_share finished_share gradient_norm"
        for name in [*curves.split(), "policy_loss", "value_loss", "explained_variance"]:
            assert all(isinstance(row[name], float) for row in rows), name

    def test_the_ridge_critic_says_what_is_still_to_come(self, train):
        _, folder = train()
        explained = [row["explained_variance"] for row in log(folder)]
        assert sum(explained[1:]) / len(explained[1:]) > 0.2

    def test_prompts_that_do_not_fit_are_counted(self, train):
        rows = [*prompt_rows(20), *prompt_rows(16, "rm_test", 60)]
        usual = {"episodes": 32, "max_prompt_tokens": 100}
        assert train(prompts=rows, **usual)[0]["prompts_cut"] == 0
        metrics, _ = train(prompts=with_long_prompts(rows, 2, 7, 30), **usual)
        assert metrics["prompts_cut"] == 3

    def test_it_leaves_texts_to_read(self, train):
        _, folder = train(episodes=128)
        rows = log(folder, "samples")
        assert {row["step"] for row in rows} == {0, 4}
        assert all({"prompt", "before", "after"} <= row.keys() for row in rows)

    def test_the_critic_starts_as_the_reward_model(self, train, trained, tiny, tiny_folder):
        from training.rlhf.layers import make_batch
        from training.rlhf.reward_model import load_reward_model
        from training.rlhf.values import ValueFunction

        reward = load_reward_model(trained["reward"], tiny)
        critic = ValueFunction(reward, str(trained["reward"]))
        prompts = [encode_chat(tiny, row["prompt"]) for row in prompt_rows(3)]
        batch = make_batch(tiny, prompts, [[70] * 20, [72] * 20, [90] * 5], [0, 1, 2])
        values = critic(batch, critic.frozen(batch)).detach()
        assert values.shape == (3, 20)
        assert (values[2, 5:] == 0).all()
        rollout = Rollout(batch, torch.zeros(3, dtype=torch.bool), torch.zeros(batch.ids.shape), {})
        expected = reward.scores_so_far(rollout) * batch.mask
        assert torch.allclose(values, expected, atol=1e-5)
        assert float(values.std()) > 0.05

    def test_what_its_critic_keeps_of_a_batch_is_what_it_would_read_of_a_part(
        self, trained, tiny, monkeypatch
    ):
        from training.rlhf import ppo_update
        from training.rlhf.layers import make_batch
        from training.rlhf.reward_model import load_reward_model
        from training.rlhf.rollouts import narrow
        from training.rlhf.values import ValueFunction

        critic = ValueFunction(load_reward_model(trained["reward"], tiny), str(trained["reward"]))
        torch.nn.init.normal_(critic.correction)
        prompts = [
            encode_chat(tiny, row["prompt"])[: 9 + 3 * n] for n, row in enumerate(prompt_rows(3))
        ]
        texts = [[70 + n] * length for n, length in enumerate((20, 3, 11, 7, 16))]
        batch = make_batch(tiny, prompts, texts, [0, 0, 1, 2, 2])
        values, kept = ppo_update._read(critic, batch)
        for rows in (torch.tensor([4, 1]), torch.tensor([3, 0, 2])):
            part, _ = narrow(batch, None, rows)
            size = part.ids.shape[1]
            anew = critic(part, critic.frozen(part)).detach()
            assert torch.allclose(critic(part, kept.of(rows, size)), anew, atol=1e-4)
            assert torch.allclose(values[rows, :size], anew, atol=1e-4)
            assert float(anew.std()) > 0.05
        monkeypatch.setattr(ppo_update, "is_short", lambda: True)
        assert ppo_update._read(critic, batch)[1] is None

    def test_the_same_seed_gives_the_same_numbers_and_another_others(self, train):
        first, second, other = (train(episodes=64, seed=seed) for seed in (0, 0, 1))
        assert log(first[1]) == log(second[1])
        assert first[0] == second[0]
        manifest = "checkpoint/manifest.json"
        assert (first[1] / manifest).read_text() == (second[1] / manifest).read_text()
        assert log(first[1]) != log(other[1])


class TestChoice:
    def test_nothing_above_the_kl_limit_is_picked(self, train):
        metrics, _ = train(kl_limit=0.01)
        assert metrics["picked_episode"] == 0
        assert metrics["kl"] <= 0.01

    def test_a_policy_that_ran_away_ends_the_run_with_its_step(self, train, monkeypatch):
        monkeypatch.setattr(online, "LEAST_RUNAWAY", 0.01)
        with pytest.raises(RunError, match="kl_ran_away") as refused:
            train(kl_limit=0.0005)
        assert refused.value.values["step"] > 1
        assert refused.value.values["kl"] >= 0.01

    def test_one_that_ran_away_late_leaves_what_was_best_before(self, train, monkeypatch):
        _, whole = train(evaluate_every=32)
        furthest = max(log(whole), key=lambda row: row["kl"])
        assert furthest["step"] > 2
        monkeypatch.setattr(online, "RUNAWAY", 0.0)
        monkeypatch.setattr(online, "LEAST_RUNAWAY", furthest["kl"] * 0.9999)
        metrics, folder = train(evaluate_every=32)
        assert metrics["ran_away_at_step"] == furthest["step"]
        assert log(folder)[-1]["step"] == furthest["step"] - 1
        assert metrics["episodes"] == (furthest["step"] - 1) * 32
        assert (folder / "checkpoint").is_dir()

    def test_the_judge_picks_and_not_the_last_step(self, train):
        metrics, folder = train(evaluate_every=64)
        looks = [row for row in log(folder) if "judge_preference" in row]
        assert metrics["judge_preference"] == max(row["judge_preference"] for row in looks)

    def test_without_a_judge_the_last_one_within_the_limit_is_picked(self, train):
        metrics, _ = train(episodes=128, judge=None, kl_limit=100.0, distinct_share=0.0)
        assert metrics["picked_episode"] == 128
        assert metrics["judge_win_rate"] is None

    def test_a_later_round_goes_on_from_an_earlier_policy(self, train, tiny):
        _, first = train(episodes=128)
        metrics, second = train(adapter=str(first / "checkpoint"), episodes=32)
        start = log(second)[0]
        assert start["kl"] > 0.5
        assert metrics["judge_win_rate"] > 0.6


class TestNotFinite:
    """What went wrong first is named, and the state of the step before is there to go on from."""

    def error_of(self, folder):
        assert run_in(folder, ppo.main, "ppo") == 1
        directory = RunDirectory.open(folder)
        try:
            state = directory.load_state()
        finally:
            directory.close()
        assert state.step == 2
        assert all(tensor.isfinite().all() for tensor in state.tensors.values())
        assert [row["step"] for row in log(folder)] == [1, 2]
        return json.loads((folder / "result.json").read_text())["error"]

    def test_a_score(self, fill, monkeypatch):
        right = ppo.episodes_of

        def broken(config, parts, number, *given, **named):
            found = right(config, parts, number, *given, **named)
            if number == 2:
                found.scores[0, 5] = math.nan
            return found

        monkeypatch.setattr(ppo, "episodes_of", broken)
        error = self.error_of(fill(episodes=128))
        assert error["code"] == "not_finite"
        assert error["values"].pop("rows").count("train-") == 3
        assert error["values"] == {
            "step": 3,
            "quantity": "score",
            "file": "data/prompts.jsonl",
            "count": 8,
        }

    def test_a_loss_ahead_of_its_gradient(self, fill, monkeypatch):
        right = ppo.make_targets
        batches = []

        def broken(*given):
            found = right(*given)
            batches.append(found)
            if len(batches) == 3:
                found.advantages[4, 0] = math.inf
            return found

        monkeypatch.setattr(ppo, "make_targets", broken)
        values = self.error_of(fill(episodes=128))["values"]
        assert (values["step"], values["quantity"]) == (3, "policy_loss")
        assert values["count"] == 8


class TestPaper:
    def test_all_of_the_paper_runs_and_the_pretraining_loss_falls(self, train, tiny):
        texts = [
            {"id": str(n), "split": "train", "text": f"once upon a time {n} there was a number"}
            for n in range(24)
        ]
        values = PpoConfig.presets["paper"] | {
            "preset": "paper",
            "episodes": 128,
            "prompts_per_batch": 16,
            "minibatches": 2,
            "warmup_steps": 2,
            "learning_rate": 2e-3,
            "ptx_coefficient": 1.0,
            "ptx_texts_per_episode": 1.0,
            "ema": 0.8,
        }
        metrics, folder = train(texts=texts, **values)
        rows = log(folder)
        assert rows[-1]["ptx_loss"] < rows[0]["ptx_loss"] - 0.5
        assert rows[0]["ratio_first"] == pytest.approx(1, abs=1e-4)
        assert (folder / "checkpoint" / "model.safetensors").exists()
        assert taste_of(tiny, folder / "checkpoint", 4) >= 0
        assert metrics["episodes"] == 128

    def test_the_configs_ptx_coefficient_is_what_their_gradient_counts(self, train):
        """So large that nothing else is left of the gradient."""
        texts = [{"id": "1", "split": "train", "text": "once upon a time"}]
        few = {"episodes": 8, "prompts_per_batch": 2, "epochs": 1, "minibatches": 1}
        norms = []
        for coefficient in (1e3, 3e3):
            _, folder = train(texts=texts, judge=None, ptx_coefficient=coefficient, **few)
            norms.append(log(folder)[0]["gradient_norm"])
        assert norms[1] == pytest.approx(3 * norms[0], rel=1e-2)

    def test_the_average_lags_behind(self, train):
        fast, _ = train(episodes=128, kl_limit=100.0, distinct_share=0.0, judge=None)
        slow, _ = train(episodes=128, kl_limit=100.0, distinct_share=0.0, judge=None, ema=0.9)
        assert 0 < slow["kl"] < 0.5 * fast["kl"]

    def test_annealed_it_goes_less_far(self, train):
        free = {"kl_target": None, "kl_coefficient": 0.0, "learning_rate": 5e-4, "judge": None}
        far, _ = train(episodes=128, **free)
        near, _ = train(episodes=128, anneal=True, **free)
        assert 0 < near["kl"] < 0.8 * far["kl"]


class TestRefusals:
    def test_ptx_without_texts(self, train):
        with pytest.raises(RunError) as refused:
            train(ptx_coefficient=1.0)
        assert refused.value.code == "data_missing"

    def test_no_prompts_to_train_on(self, train):
        with pytest.raises(RunError) as refused:
            train(prompts=prompt_rows(5, "evaluation"))
        assert refused.value.code == "data_missing"

    def test_a_broken_prompt_is_named_by_its_line(self, train):
        rows = prompt_rows(12)
        rows[4]["prompt"] = "just a text"
        with pytest.raises(RunError) as refused:
            train(prompts=rows)
        assert refused.value.code == "data_invalid"
        assert refused.value.values["line"] == 5

    def test_all_weights_cannot_go_on_from_an_adapter(self, train):
        _, first = train(episodes=32)
        with pytest.raises(RunError) as refused:
            train(adapter=str(first / "checkpoint"), lora_rank=0)
        assert refused.value.code == "config_invalid"


def test_evaluation_prompts_are_never_rolled_out(train):
    rows = [*prompt_rows(10), *prompt_rows(16, "rm_test", 60), *prompt_rows(30, "evaluation", 90)]
    for row in rows:
        if row["split"] == "evaluation":
            row["prompt"] = "would be refused if it were read as a training prompt"
    metrics, _ = train(prompts=rows, episodes=32)
    assert json.dumps(metrics)
