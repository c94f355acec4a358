"""Laws that losses and advantages obey whatever the numbers are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torch.nn.functional import logsigmoid, pad
from torch.testing import assert_close

from training.rlhf.advantages import (
    explained_variance,
    generalised_advantages,
    group_relative,
    leave_one_out,
    still_to_come,
    token_rewards,
    whiten,
)
from training.rlhf.losses import (
    ipo_loss,
    kl_k1,
    kl_k3,
    plackett_luce_loss,
    ppo_policy_loss,
    ranking_loss,
    token_loss,
    value_loss,
)

NUMBER = st.floats(-8, 8, width=32)


def ranking(scores: Tensor, *rest: Any, **more: Any) -> Tensor:
    return ranking_loss(scores, *rest, **more)[0]


def smoothed(scores: Tensor, *rest: Any, **more: Any) -> Tensor:
    return ranking_loss(scores, *rest, smoothing=0.1, **more)[0]


def plackett_luce(scores: Tensor, *rest: Any, **more: Any) -> Tensor:
    return plackett_luce_loss(scores, *rest, **more)[0]


def ipo(scores: Tensor, *rest: Any, **more: Any) -> Tensor:
    return ipo_loss(scores, *rest, tau=0.1, **more)[0]


K_WISE = pytest.mark.parametrize("loss", [ranking, smoothed, plackett_luce, ipo])


def numbers(draw: st.DrawFn, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(draw(arrays(np.float64, shape, elements=NUMBER)))


@st.composite
def rankings(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, ranks with ties, and which places are taken: (prompts, K) each."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(2, 9)))
    ranks = draw(arrays(np.int64, shape, elements=st.integers(1, shape[1])))
    sizes = torch.tensor(
        draw(st.lists(st.integers(1, shape[1]), min_size=shape[0], max_size=shape[0]))
    )
    mask = torch.arange(shape[1]) < sizes[:, None]
    return numbers(draw, shape), torch.from_numpy(ranks), mask


@st.composite
def tokens(draw: st.DrawFn, tensors: int) -> tuple[Tensor, ...]:
    """A mask of completions of one token or more, and so many tensors of numbers: (rows, T)."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 7)))
    lengths = torch.tensor(
        draw(st.lists(st.integers(1, shape[1]), min_size=shape[0], max_size=shape[0]))
    )
    mask = torch.arange(shape[1]) < lengths[:, None]
    return mask, *(numbers(draw, shape) for _ in range(tensors))


@K_WISE
class TestOfRankings:
    @given(rankings(), st.lists(NUMBER, min_size=4, max_size=4))
    def test_a_prompts_scores_may_be_shifted(self, loss, ranked, shifts):
        scores, ranks, mask = ranked
        moved = scores + torch.tensor(shifts[: len(scores)], dtype=torch.float64)[:, None]
        assert_close(loss(moved, ranks, mask), loss(scores, ranks, mask), atol=1e-9, rtol=1e-9)

    @given(rankings(), st.data())
    def test_the_order_of_completions_and_prompts_is_nothing(self, loss, ranked, data):
        prompts, k = ranked[0].shape
        rows = torch.tensor(data.draw(st.permutations(range(prompts))))
        columns = torch.tensor(data.draw(st.permutations(range(k))))
        mixed = [part[rows][:, columns] for part in ranked]
        assert_close(loss(*mixed), loss(*ranked), atol=1e-9, rtol=1e-9)

    @given(rankings(), st.integers(1, 3), NUMBER)
    def test_padding_may_hold_anything(self, loss, ranked, size, filling):
        scores, ranks, mask = ranked
        wider = [pad(scores, (0, size), value=filling), pad(ranks, (0, size)), pad(mask, (0, size))]
        assert_close(loss(*wider), loss(*ranked))

    @given(rankings(), st.integers(2, 5))
    def test_only_the_order_of_ranks_counts(self, loss, ranked, factor):
        scores, ranks, mask = ranked
        assert_close(loss(scores, ranks * factor + 3, mask), loss(*ranked))

    @given(rankings())
    def test_the_scores_of_a_prompt_are_pulled_apart_and_nowhere_else(self, loss, ranked):
        scores, ranks, mask = ranked
        scores.requires_grad_()
        (slope,) = torch.autograd.grad(loss(scores, ranks, mask), scores)
        assert_close(slope.sum(1), torch.zeros(len(slope), dtype=slope.dtype), atol=1e-9, rtol=0)
        assert not slope[~mask].any()

    @given(rankings(), st.floats(0.1, 5))
    def test_weights_are_shares(self, loss, ranked, factor):
        weights = torch.arange(1.0, len(ranked[0]) + 1).double()
        assert_close(loss(*ranked, weights * factor), loss(*ranked, weights))


@given(NUMBER, NUMBER)
def test_of_two_it_is_bradley_terry(better, worse):
    scores = torch.tensor([[worse, better]], dtype=torch.float64)
    ranked = (scores, torch.tensor([[2, 1]]), torch.ones(1, 2, dtype=torch.bool))
    expected = -logsigmoid(torch.tensor(better - worse, dtype=torch.float64))
    assert_close(ranking(*ranked), expected)
    assert_close(plackett_luce(*ranked), expected)


@given(rankings())
def test_turned_round_what_was_right_is_wrong(ranked):
    scores, ranks, mask = ranked
    there = ranking_loss(scores, ranks, mask)[1]
    back = ranking_loss(-scores, ranks, mask)[1]
    assert there.accuracy + back.accuracy == pytest.approx(1)
    assert (there.pairs, there.tied_pairs) == (back.pairs, back.tied_pairs)


class TestOfTokens:
    @given(tokens(3), st.integers(1, 3), NUMBER)
    def test_padding_may_hold_anything(self, drawn, size, filling):
        mask, new, old, other = drawn

        def wider(part: Tensor) -> Tensor:
            return pad(torch.where(mask, part, filling), (0, size), value=filling)

        more = pad(mask, (0, size))
        pairs = [
            (
                ppo_policy_loss(new, old, other, mask, clip=0.2)[0],
                ppo_policy_loss(wider(new), wider(old), wider(other), more, clip=0.2)[0],
            ),
            (
                value_loss(new, old, other, mask, clip=0.2)[0],
                value_loss(wider(new), wider(old), wider(other), more, clip=0.2)[0],
            ),
            (token_loss(new, mask), token_loss(wider(new), more)),
            (kl_k1(new, old, mask).sum(1), kl_k1(wider(new), wider(old), more).sum(1)),
            (kl_k3(new, old, mask).sum(1), kl_k3(wider(new), wider(old), more).sum(1)),
            (whiten(new, mask)[mask], whiten(wider(new), more)[more]),
        ]
        for plain, padded in pairs:
            assert_close(padded, plain)

    @given(tokens(2), NUMBER)
    def test_the_ratio_is_one_where_nothing_was_learned_yet(self, drawn, shift):
        mask, logprobs, advantages = drawn
        logprobs.requires_grad_()
        loss, stats = ppo_policy_loss(logprobs, logprobs.detach(), advantages, mask, clip=0.2)
        assert (stats.ratio, stats.clip_share, stats.kl) == (1, 0, 0)
        assert_close(loss, -(advantages * mask).sum() / mask.sum())
        (slope,) = torch.autograd.grad(loss, logprobs)
        assert_close(slope, -advantages * mask / mask.sum())  # the policy gradient itself
        moved = ppo_policy_loss(
            logprobs + shift, logprobs.detach() + shift, advantages, mask, clip=0.2
        )
        assert_close(moved[0], loss, atol=1e-9, rtol=1e-9)

    @given(tokens(3), st.floats(0.05, 0.5))
    def test_clipping_never_makes_it_look_better(self, drawn, clip):
        mask, new, old, advantages = drawn
        clipped = ppo_policy_loss(new, old, advantages, mask, clip=clip)[0]
        plain = -(torch.exp(new - old) * advantages * mask).sum() / mask.sum()
        assert float(clipped) >= float(plain) - 1e-9 * abs(float(plain))

    @given(tokens(2))
    def test_a_divergence_is_never_negative_and_its_first_estimate_changes_sign(self, drawn):
        mask, logprobs, reference = drawn
        assert (kl_k3(logprobs, reference, mask) >= -1e-12).all()
        assert_close(kl_k1(logprobs, reference, mask), -kl_k1(reference, logprobs, mask))


class TestOfAdvantages:
    @given(tokens(2))
    def test_with_gamma_and_lambda_one_returns_are_monte_carlo(self, drawn):
        mask, rewards, values = drawn
        advantages, returns = generalised_advantages(rewards, values, mask, gamma=1, lam=1)
        expected = still_to_come(rewards * mask) * mask
        assert_close(returns, expected, atol=1e-9, rtol=1e-9)
        assert_close(advantages, (expected - values) * mask, atol=1e-9, rtol=1e-9)

    @given(tokens(2), st.floats(0, 1))
    def test_with_lambda_zero_they_are_one_step_errors(self, drawn, gamma):
        mask, rewards, values = drawn
        advantages, _ = generalised_advantages(rewards, values, mask, gamma=gamma, lam=0)
        inside = values * mask
        following = torch.cat([inside[:, 1:], torch.zeros(len(inside), 1).double()], dim=1)
        assert_close(advantages, (rewards + gamma * following - values) * mask)

    @given(tokens(4), st.floats(0, 1), st.floats(0, 1), NUMBER)
    def test_they_are_linear(self, drawn, gamma, lam, factor):
        mask, rewards, values, more, other = drawn

        def of(rewards: Tensor, values: Tensor) -> Tensor:
            return generalised_advantages(rewards, values, mask, gamma=gamma, lam=lam)[0]

        both = of(rewards + factor * more, values + factor * other)
        apart = of(rewards, values) + factor * of(more, other)
        assert_close(both, apart, atol=1e-9, rtol=1e-9)

    @given(tokens(1), st.floats(0, 1))
    def test_a_completions_rewards_are_its_score_less_its_divergence(self, drawn, beta):
        mask, kl = drawn
        scores = torch.arange(1.0, len(mask) + 1).double()
        rewards = token_rewards(scores, kl, mask, beta=beta)
        assert_close(rewards.sum(1), scores - beta * (kl * mask).sum(1), atol=1e-9, rtol=1e-9)
        assert not rewards[~mask].any()

    @given(st.integers(1, 4), st.integers(2, 8), st.data())
    def test_a_baseline_takes_what_all_have_in_common(self, prompts, samples, data):
        rewards = torch.from_numpy(
            data.draw(arrays(np.float64, (prompts, samples), elements=NUMBER))
        )
        order = torch.tensor(data.draw(st.permutations(range(samples))))
        for baseline in (leave_one_out, group_relative):
            advantages = baseline(rewards)
            assert_close(advantages.sum(1), torch.zeros(prompts).double(), atol=1e-9, rtol=0)
            assert_close(baseline(rewards + 5), advantages, atol=1e-9, rtol=1e-9)
            assert_close(baseline(rewards[:, order]), advantages[:, order], atol=1e-9, rtol=1e-9)
        share = (samples - 1) / samples
        assert_close(group_relative(rewards), share * leave_one_out(rewards), atol=1e-9, rtol=1e-9)

    @given(tokens(1), st.floats(0.5, 4), NUMBER)
    def test_whitened_they_have_no_unit(self, drawn, factor, shift):
        mask, values = drawn
        if float(values[mask].std(correction=0)) < 0.1:
            return
        found = whiten(values, mask)
        assert_close(whiten(values * factor + shift, mask), found, atol=1e-5, rtol=1e-5)
        assert_close(found[mask].mean(), torch.tensor(0.0).double(), atol=1e-6, rtol=0)
        assert not found[~mask].any()

    @given(tokens(2), NUMBER)
    def test_a_critic_that_is_off_by_a_constant_explains_as_much(self, drawn, shift):
        mask, values, returns = drawn
        if float(returns[mask].std(correction=0)) < 0.1:
            return
        found = explained_variance(values, returns, mask)
        assert explained_variance(values + shift, returns, mask) == pytest.approx(found, abs=1e-6)
        assert found <= 1
