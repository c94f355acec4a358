"""What an update learns from and what it adds up, against numpy in float64 and by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from training.configs import GrpoConfig, PpoConfig
from training.rlhf import grpo
from training.rlhf.advantages import group_relative, leave_one_out, token_weights
from training.rlhf.likelihood import add_gradients
from training.rlhf.models import encode_chat
from training.rlhf.policies import start_policy
from training.rlhf.ppo import text_batches
from training.rlhf.ppo_update import Targets, Update, ValueTerm, make_targets
from training.rlhf.process import Control
from training.rlhf.randomness import uniforms
from training.rlhf.rollouts import collect
from training.rlhf.schedules import warmed_up
from training.rlhf.values import Frozen

PATHS = {"base": "b", "reward": "r"}
SIZES = {"prompts_per_batch": 3, "samples_per_prompt": 4, "minibatches": 1, "epochs": 1}
BETA = 0.3


class Level(torch.nn.Module):
    """A critic that says the same everywhere."""

    width = 1

    def __init__(self, level):
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor(level))

    def trainable(self):
        return {"level": self.level}

    def frozen(self, part):
        return Frozen(torch.zeros(part.ids.shape), torch.zeros(*part.ids.shape, self.width))

    def forward(self, part, frozen):
        return self.level * part.mask


@pytest.fixture
def scores():
    """Of the twelve completions."""
    return torch.tensor(np.random.default_rng(2).normal(size=12), dtype=torch.float32)


def in_numpy(episodes, scores):
    """Scores, KL of each token and the mask, in float64."""
    kl = (episodes.old.double() - episodes.reference.double()).numpy()
    mask = episodes.batch.mask.numpy()
    return scores.double().numpy(), np.where(mask, kl, 0.0), mask


def test_the_penalty_is_beta_times_k1_which_may_be_negative(episodes):
    _, kl, mask = in_numpy(episodes, torch.zeros(12))
    assert np.abs(episodes.kl.numpy() - kl).max() < 1e-6
    assert (kl[mask] < 0).any()
    assert (kl[mask] > 0).any()


def test_leave_one_out_advantages_are_those_of_plain_loops(episodes, scores):
    config = PpoConfig(**PATHS, **SIZES, advantage="rloo")
    found = make_targets(config, episodes, scores, BETA, None)
    score, kl, mask = in_numpy(episodes, scores)
    whole = score - BETA * kl.sum(1)
    expected = np.array(
        [
            whole[row]
            - np.mean([whole[o] for o in range(row // 4 * 4, row // 4 * 4 + 4) if o != row])
            for row in range(12)
        ]
    )
    expected = expected / expected.std()
    assert np.abs(found.advantages.numpy() - expected[:, None] * mask).max() < 1e-5


def test_gae_discounts_by_gamma_and_lambda(episodes, scores):
    """A_t = Σ_k (γλ)^k δ_(t+k), δ_t = r_t + γ V_(t+1) − V_t, V = 0.7; returns are A + V."""
    gamma, lam, value = 0.9, 0.6, 0.7
    config = PpoConfig(**PATHS, **SIZES, gamma=gamma, gae_lambda=lam, critic="network")
    found = make_targets(config, episodes, scores, BETA, Level(value))
    score, kl, mask = in_numpy(episodes, scores)
    advantages = np.zeros(mask.shape)
    for row, length in enumerate(mask.sum(1)):
        reward = -BETA * kl[row, :length]
        reward[-1] += score[row]
        delta = reward + gamma * np.append(np.full(length - 1, value), 0.0) - value
        for t in range(length):
            advantages[row, t] = sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, length))
    returns = np.where(mask, advantages + value, 0.0)
    assert np.abs(found.returns.numpy() - returns).max() < 1e-5
    valid = advantages[mask]
    expected = np.where(mask, (advantages - valid.mean()) / valid.std(ddof=1), 0.0)
    assert np.abs(found.advantages.numpy() - expected).max() < 1e-4


def test_gae_gets_the_penalty_at_each_token_and_the_score_at_the_last(episodes, scores):
    """γ = λ = 1: an advantage is the reward still to come less the value, whitened."""
    config = PpoConfig(**PATHS, **SIZES, gae_lambda=1.0, critic="network")
    constant = 0.7
    found = make_targets(config, episodes, scores, BETA, Level(constant))
    score, kl, mask = in_numpy(episodes, scores)
    advantages = np.zeros(mask.shape)
    for row, length in enumerate(mask.sum(1)):
        for t in range(length):
            advantages[row, t] = score[row] - BETA * kl[row, t:length].sum() - constant
    valid = advantages[mask]
    expected = np.where(mask, (advantages - valid.mean()) / valid.std(ddof=1), 0.0)
    assert np.abs(found.advantages.numpy() - expected).max() < 1e-4
    assert found.advantages[episodes.batch.mask].mean() == pytest.approx(0, abs=1e-5)


class TestGroups:
    def test_the_papers_advantage_by_hand(self):
        """Rewards 1, 2, 6: mean 3, standard deviation √7."""
        config = GrpoConfig(**PATHS)
        found = grpo.group_advantages(config, torch.tensor([[1.0, 2.0, 6.0]]))
        assert found[0].tolist() == pytest.approx([-0.7559, -0.3780, 1.1339], abs=2e-4)

    def test_each_baseline_and_each_scale_by_hand(self):
        rewards = torch.tensor([[1.0, 3.0], [5.0, 5.0]])
        found = {
            (baseline, scale): grpo.group_advantages(
                GrpoConfig(**PATHS, baseline=baseline, scale=scale), rewards
            )
            .flatten()
            .tolist()
            for baseline in ("group", "leave_one_out")
            for scale in ("none", "batch", "group")
        }
        root = 2**0.5
        assert found["group", "none"] == [-1, 1, 0, 0]
        assert found["leave_one_out", "none"] == [-2, 2, 0, 0]
        assert found["group", "batch"] == pytest.approx([-root, root, 0, 0])
        assert found["leave_one_out", "batch"] == pytest.approx([-root, root, 0, 0])
        assert found["group", "group"] == pytest.approx([-1 / root, 1 / root, 0, 0], abs=1e-3)
        assert found["leave_one_out", "group"] == pytest.approx([-root, root, 0, 0], abs=1e-3)

    @pytest.mark.parametrize("scale", ["none", "group"])
    def test_one_prompts_rewards_do_not_change_anothers_advantages(self, scale):
        config = GrpoConfig(**PATHS, scale=scale)
        rewards = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
        other = rewards.clone()
        other[1] = other[1] * 9 + 5
        first, second = (grpo.group_advantages(config, one) for one in (rewards, other))
        assert torch.equal(first[0], second[0])

    def test_a_shift_of_a_prompts_rewards_changes_nothing_and_order_is_kept(self):
        rewards = torch.randn(3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        for config in (GrpoConfig(**PATHS), GrpoConfig(**PATHS, baseline="leave_one_out")):
            found = grpo.group_advantages(config, rewards)
            shifted = grpo.group_advantages(config, rewards + torch.tensor([[3.0], [-8], [0.5]]))
            assert torch.allclose(found, shifted, atol=1e-9)
            assert torch.equal(found.argsort(1), rewards.argsort(1))

    def test_the_two_baselines_differ_by_a_factor(self):
        rewards = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
        assert torch.allclose(group_relative(rewards), leave_one_out(rewards) * 4 / 5)

    def test_one_sample_is_refused(self):
        with pytest.raises(ValueError, match="2 samples"):
            group_relative(torch.ones(3, 1))


class TestTokenWeights:
    mask = torch.tensor([[True, False, False, False], [True, True, True, True]])

    def test_completions_weigh_the_same_whatever_their_length(self):
        weights = token_weights(self.mask, average_over="completions", limit=8)
        assert weights.tolist() == [[1, 0, 0, 0], [0.25] * 4]

    def test_by_the_limit_tokens_weigh_the_same_whatever_the_length(self):
        weights = token_weights(self.mask, average_over="limit", limit=8)
        assert weights.tolist() == [[0.125, 0, 0, 0], [0.125] * 4]

    def test_over_tokens_there_are_none(self):
        assert token_weights(self.mask, average_over="tokens", limit=8) is None

    @pytest.mark.parametrize("average_over", ["completions", "tokens", "limit"])
    @pytest.mark.parametrize("kl_in", ["reward", "loss"])
    def test_the_updates_loss_is_the_papers(self, policy, episodes, scores, average_over, kl_in):
        """At the first minibatch the ratio is 1: the loss is −Σ w A, and β Σ w k3 where it is."""
        config = GrpoConfig(
            **PATHS,
            **SIZES,
            average_over=average_over,
            kl_in=kl_in,
            max_new_tokens=12,
            learning_rate=1e-9,
        )
        before = policy.snapshot()
        # Advantages of a group add up to 0: uneven ones show what each completion weighs.
        uneven = torch.linspace(0.5, 2, 12)
        targets = grpo.make_targets(config, episodes, scores, BETA)
        targets = replace(targets, advantages=targets.advantages * uneven[:, None])
        stats = Update(config, policy).run(
            episodes, targets, number=0, share=1.0, control=Control()
        )
        policy.load(before)
        score, kl, mask = in_numpy(episodes, scores)
        lengths = mask.sum(1)
        reward = score if kl_in == "loss" else score - BETA * kl.sum(1)
        groups = reward.reshape(3, 4)
        deviations = groups.std(1, ddof=1, keepdims=True) + 1e-4
        advantages = ((groups - groups.mean(1, keepdims=True)) / deviations).ravel()
        advantages = advantages * uneven.double().numpy()
        k3 = np.where(mask, np.exp(-kl) - 1 + kl, 0.0)
        terms = advantages[:, None] - (BETA * k3 if kl_in == "loss" else 0.0)
        sums = np.where(mask, terms, 0.0).sum(1)
        expected = {
            "completions": (sums / lengths).mean(),
            "tokens": sums.sum() / lengths.sum(),
            "limit": (sums / 12).mean(),
        }[average_over]
        assert stats.policy_loss == pytest.approx(-expected, abs=1e-4)


class TestUpdate:
    def test_its_adam_has_the_papers_epsilon_and_the_configs_numbers(self, policy):
        config = PpoConfig(**PATHS, learning_rate=0.5)
        group = Update(config, policy).optimiser.adam.param_groups[0]
        assert group["eps"] == 1e-5
        assert group["betas"] == (0.9, config.adam_beta2)
        assert group["lr"] == 0.5

    def test_the_value_loss_counts_as_its_coefficient_says(self, policy, episodes):
        """With advantages of 0 the whole gradient is the value loss's."""
        zeros = torch.zeros_like(episodes.old)
        nothing = Frozen(zeros, zeros[..., None])
        targets = Targets(zeros, returns=zeros + 2.0, values=zeros, frozen=nothing)
        config = PpoConfig(**PATHS, **SIZES, learning_rate=1e-9, gradient_clip=1e9)
        stats = Update(config, policy, ValueTerm(Level(0.0), clip=0.2, coefficient=0.1)).run(
            episodes, targets, number=0, share=1.0, control=Control()
        )
        assert stats.value_loss == pytest.approx(2.0)  # ½ (0 − 2)²
        assert stats.gradient_norm == pytest.approx(0.1 * 2.0, rel=1e-4)

    @pytest.mark.parametrize("average_over", ["tokens", "completions"])
    def test_entropy_is_worth_its_coefficient_and_grows(self, policy, episodes, average_over):
        """With advantages of 0 the loss is −c times the mean entropy, over what is averaged."""
        before = policy.snapshot()
        mask = episodes.batch.mask
        weights = token_weights(mask, average_over=average_over, limit=12)
        targets = Targets(torch.zeros_like(episodes.old), token_weights=weights)
        means = []
        for rate in (0.01, 1e-9):  # the second looks at what has become of it
            config = GrpoConfig(**PATHS, **SIZES, learning_rate=rate, entropy_coefficient=0.3)
            stats = Update(config, policy).run(
                episodes, targets, number=0, share=1.0, control=Control()
            )
            means.append(stats.policy_loss / -0.3)
        policy.load(before)
        each = np.where(mask.numpy(), episodes.entropy.double().numpy(), 0.0)
        lengths = mask.sum(1).numpy()
        expected = {
            "tokens": each.sum() / lengths.sum(),
            "completions": (each.sum(1) / lengths).mean(),
        }[average_over]
        assert means[0] == pytest.approx(expected, abs=1e-4)
        assert means[1] > means[0] + 0.01

    def test_it_ends_before_the_step_that_would_leave_what_was_sampled(self, policy, episodes):
        """Four minibatches at a rate that is far too high; how far each had gone is k3."""
        before = policy.snapshot()
        targets = Targets(episodes.batch.mask * torch.randn(episodes.old.shape))
        taken = {}
        for limit in (None, 0.05):
            config = PpoConfig(
                **PATHS,
                **SIZES | {"epochs": 4},
                precision="float32",
                learning_rate=0.02,
                update_kl_limit=limit,
            )
            update = Update(config, policy)
            stats = update.run(episodes, targets, number=0, share=1.0, control=Control())
            taken[limit] = stats.minibatches_taken
            assert stats.update_kl > 0.05
            assert all(p.grad is None for p in policy.lm.trainable().values())
            policy.load(before)
        assert taken[None] == 4
        assert 1 <= taken[0.05] < 4

    def test_a_temperature_divides_the_logits_in_sampling_and_in_learning_alike(self, tiny):
        config = PpoConfig(
            **PATHS, **SIZES, temperature=0.6, lora_rank=4, precision="float32", learning_rate=1e-9
        )
        fresh = start_policy(config, tiny)
        prompt = encode_chat(tiny, [{"role": "user", "content": "say it"}])
        drawn = collect(
            fresh.lm,
            fresh.reference,
            [prompt] * 3,
            models=[],
            samples=4,
            max_new_tokens=12,
            temperature=0.6,
            uniforms=uniforms(1, 0, range(3), 4, 12),
            control=Control(),
        )
        mask = drawn.batch.mask
        assert (drawn.old - drawn.sampler)[mask].abs().max() < 1e-4
        assert drawn.kl.abs().max() < 1e-5
        targets = Targets(torch.ones_like(drawn.old))
        stats = Update(config, fresh).run(drawn, targets, number=0, share=1.0, control=Control())
        assert stats.ratio_first == pytest.approx(1, abs=1e-5)
        with torch.no_grad():
            logits = tiny.model(torch.tensor([prompt])).logits[0, -1].double()
        expected = (logits / 0.6).log_softmax(-1)[drawn.batch.ids[:, 0]]
        assert (drawn.old[:, 0].double() - expected).abs().max() < 1e-4

    def test_tokens_after_the_end_have_no_part_in_it(self, policy, tiny):
        """The same completions with rubbish where the mask is False: the same gradient."""
        config = PpoConfig(**PATHS, **SIZES, learning_rate=1e-9)
        prompts = [encode_chat(tiny, [{"role": "user", "content": f"say {n}"}]) for n in range(3)]
        norms = []
        for rubbish in (0.0, 50.0):
            before = policy.snapshot()
            drawn = collect(
                policy.lm,
                policy.reference,
                prompts,
                models=[],
                samples=4,
                max_new_tokens=20,
                temperature=1.0,
                uniforms=uniforms(4, 0, range(3), 4, 20),
                control=Control(),
            )
            outside = ~drawn.batch.mask
            assert outside.any()
            for values in (drawn.old, drawn.sampler, drawn.reference):
                values[outside] = rubbish
            targets = Targets(torch.ones_like(drawn.old) + rubbish * outside)
            stats = Update(config, policy).run(
                drawn, targets, number=0, share=1.0, control=Control()
            )
            norms.append((stats.gradient_norm, stats.policy_loss))
            policy.load(before)
        assert norms[0] == pytest.approx(norms[1], rel=1e-5)


class TestPretraining:
    def test_each_update_sees_as_many_texts_per_episode_as_the_config_says(self, tiny):
        config = PpoConfig(
            **PATHS, prompts_per_batch=4, samples_per_prompt=2, ptx_texts_per_episode=8.0
        )
        batches = text_batches(config, tiny, [[5, 6, 7], [8, 9]], 0)
        assert len(batches) == config.epochs * config.minibatches
        assert all(len(batch.ids) == 8 * 4 for batch in batches)  # 4 episodes a minibatch

    def test_the_gradient_is_the_coefficient_times_that_of_the_mean_loss(self, policy, tiny):
        config = PpoConfig(**PATHS, prompts_per_batch=1, samples_per_prompt=2, minibatches=1)
        (batch, *_) = text_batches(config, tiny, [[5, 6, 7, 80, 81], [8, 9]], 0)
        gradients = []
        for coefficient in (1.0, 27.8):
            for parameter in policy.lm.trainable().values():
                parameter.grad = None
            add_gradients(policy.lm, batch, Control(), coefficient=coefficient)
            gradients.append(torch.cat([p.grad.flatten() for p in policy.lm.trainable().values()]))
        for parameter in policy.lm.trainable().values():
            parameter.grad = None
        assert torch.allclose(gradients[1], 27.8 * gradients[0], rtol=1e-4, atol=1e-6)


def test_the_papers_numbers_are_in_its_preset():
    """InstructGPT, appendix C.4, and where it says nothing lm-human-preferences."""
    config = PpoConfig.from_preset("paper", **PATHS)
    assert (config.gamma, config.gae_lambda, config.clip) == (1.0, 0.95, 0.2)
    assert (config.value_clip, config.value_coefficient) == (0.2, 0.1)
    assert (config.kl_coefficient, config.kl_target) == (0.02, None)
    assert (config.episodes, config.episodes_per_batch(), config.minibatches) == (256_000, 512, 8)
    assert (config.epochs, config.temperature, config.adam_epsilon) == (1, 1.0, 1e-5)
    assert (config.ptx_coefficient, config.ptx_texts_per_episode) == (27.8, 8.0)
    assert (config.ema, config.advantage, config.critic) == (0.992, "gae", "network")
    assert (config.missing_eos, config.missing_eos_penalty) == ("replace", 1.0)
    rates = [warmed_up(n, warmup=config.warmup_steps) for n in (0, 10, 499)]
    assert rates == pytest.approx([0.1, 1.0, 1.0])
