"""The critic in closed form: against numpy, and blind to the returns of its own prompt."""

import numpy as np
import pytest
import torch

from training.rlhf.layers import make_batch
from training.rlhf.models import encode_text
from training.rlhf.ridge_critic import DECAY, LEAST, RIDGE, RidgeCritic, Sums

WORDS = ["a", "a b", "a b c", "a b c d", "a b c d e", "b a", "c", "d e f"]


@pytest.fixture
def batch(tiny):
    """Four prompts of two completions each."""
    texts = [encode_text(tiny, text, finished=True) for text in WORDS]
    return make_batch(tiny, [[70, 71]] * 4, texts, [0, 0, 1, 1, 2, 2, 3, 3])


def critic_of(tiny):
    return RidgeCritic(tiny.spelling, samples=2, longest=12)


def returns_of(batch, whole):
    """Each completion's return, all of it still to come before every token."""
    return torch.tensor(whole, dtype=torch.float32)[:, None] * batch.mask


def test_the_weights_are_those_of_ridge_regression():
    rng = np.random.default_rng(0)
    seen, target = rng.normal(size=(50, 3)) * [1, 10, 0.1], rng.normal(size=50)
    x, y = torch.from_numpy(seen), torch.from_numpy(target)
    found = Sums(x.T @ x, x.T @ y, 50.0).weights()
    penalty = RIDGE * (seen**2).mean(0) + LEAST
    wanted = np.linalg.lstsq(
        np.vstack([seen, np.diag(np.sqrt(50 * penalty))]), np.append(target, [0, 0, 0]), rcond=None
    )[0]
    assert found.numpy() == pytest.approx(wanted, rel=1e-9)


def test_a_prompts_returns_do_not_change_its_values_but_those_of_the_other_half(tiny, batch):
    so_far = torch.zeros(batch.ids.shape)
    whole = [1.0, 2.0, 0.5, 1.5, -1.0, 0.0, 2.0, 1.0]
    one = critic_of(tiny).values(batch, so_far, returns_of(batch, whole))
    # Both up by one: what is left is how much each lies above the prompt's other sample.
    other = critic_of(tiny).values(batch, so_far, returns_of(batch, [whole[0] + 5, *whole[1:]]))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[4], other[4])
    assert not torch.equal(one[2], other[2])


def test_it_learns_what_the_score_so_far_tells(tiny, batch):
    critic = critic_of(tiny)
    rng = torch.Generator().manual_seed(0)
    for _ in range(6):
        whole = torch.randn(8, generator=rng)
        so_far = whole[:, None].expand(batch.ids.shape) * 0.5
        values = critic.values(batch, so_far, returns_of(batch, whole.tolist()))
    gap = (values - returns_of(batch, whole.tolist()))[batch.mask]
    assert float(gap.square().mean()) < 0.1 * float(whole.var())
    assert (values[~batch.mask] == 0).all()


def test_earlier_batches_count_less_and_less(tiny, batch):
    critic = critic_of(tiny)
    so_far, ones = torch.zeros(batch.ids.shape), [1.0] * 8
    critic.values(batch, so_far, returns_of(batch, ones))
    tokens = critic.past.tokens
    critic.values(batch, so_far, returns_of(batch, ones))
    assert critic.past.tokens == pytest.approx(tokens * (1 + DECAY))


def test_a_state_brings_it_back(tiny, batch):
    critic, other = critic_of(tiny), critic_of(tiny)
    so_far = torch.rand(batch.ids.shape, generator=torch.Generator().manual_seed(1))
    first, second = returns_of(batch, list(range(8))), returns_of(batch, list(range(8, 16)))
    assert critic.tensors("critic.") == {}
    critic.values(batch, so_far, first)
    other.load(critic.tensors("critic."), "critic.")
    assert torch.equal(critic.values(batch, so_far, second), other.values(batch, so_far, second))


def test_a_single_sample_has_no_others(tiny, batch):
    critic = RidgeCritic(tiny.spelling, samples=1, longest=12)
    values = critic.values(batch, torch.zeros(batch.ids.shape), returns_of(batch, [1.0] * 8))
    assert values[batch.mask].mean() == pytest.approx(1.0, abs=0.05)
