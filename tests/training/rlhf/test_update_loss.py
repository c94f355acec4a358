"""The loss of an update off the policy that sampled, against numpy in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.rlhf.test_ppo_update import PATHS, SIZES, Level
from training.configs import PpoConfig
from training.rlhf import ppo
from training.rlhf.ppo_update import Targets, Update, ValueTerm
from training.rlhf.process import Control
from training.rlhf.reward_model import load_reward_model
from training.rlhf.values import Frozen, ValueFunction


@pytest.fixture
def update(policy):
    """update(config, episodes, targets, critic=None, …) → its numbers; the policy stays."""

    def run(config, episodes, targets, critic=None, **rest):
        before = policy.snapshot()
        stats = Update(config, policy, critic).run(
            episodes, targets, number=0, share=1.0, control=Control(), **rest
        )
        policy.load(before)
        return stats

    return run


def settings(**values):
    return PpoConfig(**PATHS, **SIZES, learning_rate=1e-9, gradient_clip=1e9, **values)


def drawn(episodes, *, seed, scale=1.0):
    """A number of its own for each token, normal, 0 outside the mask."""
    random = torch.Generator().manual_seed(seed)
    return scale * torch.randn(episodes.old.shape, generator=random) * episodes.batch.mask


def exactly(tensor):
    return tensor.double().numpy()


@pytest.mark.parametrize("clip_over", ["tokens", "completions"])
def test_a_ratio_is_clipped_for_each_token_or_for_the_whole_completion(update, episodes, clip_over):
    """log ρ is 0.4 (ρ = 1.5) on average in every other completion, −0.4 (ρ = 0.7) in the rest."""
    side = torch.tensor([0.4, -0.4]).repeat(6)[:, None]
    log_ratio = (side + drawn(episodes, seed=1, scale=0.3)) * episodes.batch.mask
    advantages = drawn(episodes, seed=2)
    old = episodes.old - log_ratio
    shifted = replace(episodes, old=old, sampler=old)
    stats = update(settings(clip=0.3, clip_over=clip_over), shifted, Targets(advantages))
    mask = episodes.batch.mask.numpy()
    each, lengths = exactly(log_ratio), mask.sum(1, keepdims=True)
    ratio = np.exp(each if clip_over == "tokens" else each.sum(1, keepdims=True) / lengths)
    gain = np.minimum(ratio * exactly(advantages), ratio.clip(0.7, 1.3) * exactly(advantages))
    assert stats.policy_loss == pytest.approx(-gain[mask].sum() / mask.sum(), abs=1e-5)
    outside = np.broadcast_to(np.abs(ratio - 1) > 0.3, mask.shape)
    assert stats.clip_share == pytest.approx(outside[mask].mean(), abs=1e-6)


def test_a_value_is_clipped_around_the_old_one(update, episodes):
    """½ of the larger of (V − R)² and (V' − R)², V' within 0.5 of the old value; V is 0.3."""
    old, returns = drawn(episodes, seed=3), drawn(episodes, seed=4)
    zeros = torch.zeros_like(old)
    targets = Targets(zeros, returns, old, Frozen(zeros, zeros[..., None]))
    critic = ValueTerm(Level(0.3), clip=0.5, coefficient=0.1)
    stats = update(settings(), episodes, targets, critic)
    near = exactly(old) + (0.3 - exactly(old)).clip(-0.5, 0.5)
    worse = np.maximum((0.3 - exactly(returns)) ** 2, (near - exactly(returns)) ** 2)
    assert stats.value_loss == pytest.approx(worse[episodes.batch.mask.numpy()].mean() / 2)


def test_the_configs_value_clip_and_coefficient_each_reach_the_critic(trained, tiny):
    folder = str(trained["reward"])
    critic = ValueFunction(load_reward_model(folder, tiny), folder)
    term = ppo.value_term(PpoConfig(**PATHS, value_clip=0.5, value_coefficient=0.25), critic)
    assert (term.function, term.clip, term.coefficient) == (critic, 0.5, 0.25)


def test_a_token_counts_by_how_much_rarer_its_sampler_drew_it_but_at_most_twice(update, episodes):
    """π/π_sampler is 3/2, 1/2 and 3 in turn; the policy's own ratio is 1."""
    mask = episodes.batch.mask
    weights = np.array([1.5, 0.5, 3.0])[np.arange(mask.shape[1]) % 3] * np.ones(mask.shape)
    sampler = episodes.old - torch.tensor(np.log(weights), dtype=torch.float32) * mask
    advantages = drawn(episodes, seed=5)
    stats = update(settings(), replace(episodes, sampler=sampler), Targets(advantages))
    gain = np.minimum(weights, 2.0) * exactly(advantages)
    assert stats.policy_loss == pytest.approx(-gain.sum() / float(mask.sum()), abs=1e-5)


def test_pretraining_gradients_count_as_their_coefficient_says(update, episodes, tiny):
    """With advantages of 0 the whole gradient is theirs."""
    config = settings(ptx_texts_per_episode=0.25)
    texts = ppo.text_batches(config, tiny, [[5, 6, 7, 80, 81], [8, 9, 10]], 0)
    nothing = Targets(torch.zeros_like(episodes.old))
    once, often = (
        update(config, episodes, nothing, texts=texts, ptx_coefficient=coefficient)
        for coefficient in (1.0, 27.8)
    )
    assert once.gradient_norm > 0.1
    assert often.gradient_norm == pytest.approx(27.8 * once.gradient_norm, rel=1e-4)
    assert often.ptx_loss == pytest.approx(once.ptx_loss)
