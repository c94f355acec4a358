"""Advantages against numbers worked out by hand or by plain loops in float64."""

import numpy as np
import pytest
import torch

from training.rlhf.advantages import (
    explained_variance,
    generalised_advantages,
    leave_one_out,
    penalise_missing_end,
    scale_to_unit,
    token_rewards,
    whiten,
)


def test_a_missing_end_is_subtracted_or_replaces_the_score():
    scores, finished = torch.tensor([2.0, 2.0]), torch.tensor([True, False])
    subtracted = penalise_missing_end(scores, finished, how="subtract", penalty=1.0)
    replaced = penalise_missing_end(scores, finished, how="replace", penalty=1.0)
    assert subtracted.tolist() == [2.0, 1.0]
    assert replaced.tolist() == [2.0, -1.0]


def test_the_score_comes_at_the_last_token_and_the_penalty_at_every_one():
    kl = torch.tensor([[1.0, 2.0, 9.0], [4.0, 9.0, 9.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    rewards = token_rewards(torch.tensor([10.0, -1.0]), kl, mask, beta=0.5)
    assert rewards.tolist() == [[-0.5, 9.0, 0.0], [-3.0, 0.0, 0.0]]


class TestGeneralisedAdvantages:
    def test_by_hand(self):
        # γ = 1, λ = .5. δ₂ = 1 − .5 = .5; δ₁ = 0 + .5 − .2 = .3; A₁ = .3 + .5·.5 = .55.
        advantages, returns = generalised_advantages(
            torch.tensor([[0.0, 1.0]]),
            torch.tensor([[0.2, 0.5]]),
            torch.ones(1, 2, dtype=torch.bool),
            gamma=1.0,
            lam=0.5,
        )
        assert advantages[0].tolist() == pytest.approx([0.55, 0.5])
        assert returns[0].tolist() == pytest.approx([0.75, 1.0])

    def test_with_lambda_one_it_is_the_return_minus_the_value(self):
        advantages, returns = generalised_advantages(
            torch.tensor([[1.0, 2.0, 4.0]]),
            torch.tensor([[3.0, -1.0, 0.5]]),
            torch.ones(1, 3, dtype=torch.bool),
            gamma=1.0,
            lam=1.0,
        )
        assert returns[0].tolist() == pytest.approx([7.0, 6.0, 4.0])
        assert advantages[0].tolist() == pytest.approx([4.0, 7.0, 3.5])

    def test_what_follows_the_end_changes_nothing(self):
        mask = torch.tensor([[True, True, False]])
        rewards = torch.tensor([[0.0, 1.0, 55.0]])
        values = torch.tensor([[0.2, 0.5, -77.0]])
        advantages, returns = generalised_advantages(rewards, values, mask, gamma=1, lam=0.5)
        assert advantages[0].tolist() == pytest.approx([0.55, 0.5, 0.0])
        assert returns[0].tolist() == pytest.approx([0.75, 1.0, 0.0])

    def test_it_agrees_with_the_double_sum(self):
        random = np.random.default_rng(0)
        rewards, values = random.normal(size=(2, 4, 7))
        lengths, gamma, lam = [7, 1, 4, 6], 0.9, 0.8
        expected = np.zeros((4, 7))
        for row, length in enumerate(lengths):
            for t in range(length):
                for l_ in range(length - t):
                    following = values[row, t + l_ + 1] if t + l_ + 1 < length else 0.0
                    delta = rewards[row, t + l_] + gamma * following - values[row, t + l_]
                    expected[row, t] += (gamma * lam) ** l_ * delta
        mask = torch.arange(7).unsqueeze(0) < torch.tensor(lengths).unsqueeze(1)
        found, _ = generalised_advantages(
            torch.tensor(rewards), torch.tensor(values), mask, gamma=gamma, lam=lam
        )
        assert np.abs(found.numpy() - expected).max() < 1e-12


class TestLeaveOneOut:
    def test_by_hand(self):
        found = leave_one_out(torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]]))
        assert found.tolist() == [[-3.0, -1.5, 4.5], [0.0, 0.0, 0.0]]

    def test_one_sample_is_refused(self):
        with pytest.raises(ValueError, match="2 samples"):
            leave_one_out(torch.ones(3, 1))


def test_scaling_leaves_the_sign_and_the_mean_alone():
    scaled = scale_to_unit(torch.tensor([2.0, 6.0]))
    assert scaled.tolist() == [1.0, 3.0]


def test_a_batch_without_differences_teaches_nothing():
    assert scale_to_unit(torch.full((4,), 0.3)).tolist() == [0.0] * 4


def test_whitening_counts_valid_tokens_only():
    values = torch.tensor([[1.0, 3.0, 900.0], [5.0, -900.0, 0.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    white = whiten(values, mask)
    assert white[0].tolist() == pytest.approx([-1.0, 0.0, 0.0], abs=1e-6)
    assert white[1].tolist() == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)


class TestExplainedVariance:
    mask = torch.ones(1, 3, dtype=torch.bool)
    returns = torch.tensor([[1.0, 2.0, 3.0]])

    def test_a_perfect_critic_explains_everything(self):
        assert explained_variance(self.returns, self.returns, self.mask) == 1.0

    def test_a_constant_explains_nothing(self):
        assert explained_variance(torch.full((1, 3), 7.0), self.returns, self.mask) == 0.0

    def test_a_wrong_sign_is_worse_than_nothing(self):
        assert explained_variance(-self.returns, self.returns, self.mask) == pytest.approx(-3.0)
