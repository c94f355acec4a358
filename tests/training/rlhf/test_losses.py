"""Losses against numbers worked out by hand or by plain loops in float64."""

import math

import numpy as np
import pytest
import torch

from training.rlhf.losses import (
    ipo_loss,
    kl_k1,
    kl_k3,
    kl_loss,
    plackett_luce_loss,
    ppo_policy_loss,
    ranking_loss,
    sampler_weights,
    token_loss,
    value_loss,
)


def full(rows, columns):
    return torch.ones(rows, columns, dtype=torch.bool)


class TestRankingLoss:
    def test_equal_scores_cost_log_two(self):
        loss, stats = ranking_loss(torch.zeros(1, 3), torch.tensor([[1, 2, 3]]), full(1, 3))
        assert float(loss) == pytest.approx(math.log(2), abs=1e-7)
        assert stats == (0.5, 3, 0)

    def test_three_completions_by_hand(self):
        # Pairs (a over b, a over c, b over c) of scores 2, 1, −1: differences 1, 3, 2.
        loss, stats = ranking_loss(
            torch.tensor([[2.0, 1.0, -1.0]]), torch.tensor([[1, 2, 3]]), full(1, 3)
        )
        expected = (0.3132616875 + 0.0485873516 + 0.1269280110) / 3
        assert float(loss) == pytest.approx(expected, abs=1e-7)
        assert stats.accuracy == 1.0

    def test_a_better_grade_asks_for_a_larger_difference(self):
        # Worth 3, 1, 2: a lies 2 before b and 1 before c; b is ranked above c and graded below it.
        scores, ranks = torch.tensor([[2.0, 1.0, -1.0]]), torch.tensor([[1, 2, 3]])
        loss, stats = ranking_loss(scores, ranks, full(1, 3), worth=torch.tensor([[3.0, 1.0, 2.0]]))
        asked = [1 - 2, 3 - 1, 2 - 0]
        expected = sum(math.log1p(math.exp(-lead)) for lead in asked) / 3
        assert float(loss) == pytest.approx(expected, abs=1e-6)
        assert stats.accuracy == 1.0  # of the order, whatever the grades

    def test_smoothed_labels_cost_least_at_their_own_odds(self):
        """ε = 0.1: −0.9 log σ(2) − 0.1 log σ(−2), and a slope of 0 at σ(d) = 0.9."""
        ranks = torch.tensor([[1, 2]])
        loss, _ = ranking_loss(torch.tensor([[2.0, 0.0]]), ranks, full(1, 2), smoothing=0.1)
        expected = 0.9 * math.log1p(math.exp(-2)) + 0.1 * math.log1p(math.exp(2))
        assert float(loss) == pytest.approx(expected, abs=1e-6)
        scores = torch.tensor([[math.log(9), 0.0]], requires_grad=True)
        ranking_loss(scores, ranks, full(1, 2), smoothing=0.1)[0].backward()
        assert scores.grad.abs().max() < 1e-6
        level, _ = ranking_loss(torch.zeros(1, 2), ranks, full(1, 2), smoothing=0.1)
        assert float(level) == pytest.approx(math.log(2), abs=1e-7)

    def test_a_text_that_stands_in_a_ranking_twice_is_in_no_pair_with_itself(self):
        # a, a, b ranked 1, 3, 2: a > b and b > a count, a > a does not.
        scores = torch.tensor([[2.0, 2.0, 1.0]])
        ranks, places = torch.tensor([[1, 3, 2]]), torch.tensor([[0, 0, 1]])
        loss, stats = ranking_loss(scores, ranks, full(1, 3), places=places)
        assert (stats.pairs, stats.accuracy) == (2, 0.5)
        assert float(loss) == pytest.approx(
            (math.log1p(math.exp(-1)) + math.log1p(math.exp(1))) / 2, rel=1e-6
        )
        alone = ranking_loss(
            torch.tensor([[2.0, 2.0]]), torch.tensor([[1, 2]]), full(1, 2), places=places[:, :2]
        )
        assert (float(alone[0]), alone[1].pairs) == (0.0, 0)

    def test_tied_pairs_are_dropped(self):
        tied = torch.tensor([[1, 1, 2]])
        loss, stats = ranking_loss(torch.tensor([[5.0, -5.0, 0.0]]), tied, full(1, 3))
        expected = (math.log1p(math.exp(-5)) + math.log1p(math.exp(5))) / 2
        assert float(loss) == pytest.approx(expected, rel=1e-6)
        assert (stats.pairs, stats.tied_pairs, stats.accuracy) == (2, 1, 0.5)

    def test_a_prompt_that_is_one_tie_has_no_weight(self):
        scores = torch.tensor([[1.0, 0.0], [3.0, -3.0]])
        ranks = torch.tensor([[1, 2], [1, 1]])
        with_tie, _ = ranking_loss(scores, ranks, full(2, 2))
        without, _ = ranking_loss(scores[:1], ranks[:1], full(1, 2))
        assert float(with_tie) == pytest.approx(float(without))

    def test_only_ties_give_no_loss_and_a_gradient_of_zero(self):
        scores = torch.tensor([[1.0, 0.0]], requires_grad=True)
        loss, stats = ranking_loss(scores, torch.tensor([[1, 1]]), full(1, 2))
        loss.backward()
        assert float(loss.detach()) == 0.0
        assert scores.grad is not None
        assert scores.grad.tolist() == [[0.0, 0.0]]
        assert stats.pairs == 0

    def test_each_prompt_weighs_the_same_whatever_its_k(self):
        scores = torch.tensor([[0.3, -0.4, 1.1, 0.0], [0.7, 0.2, 0.0, 0.0]])
        ranks = torch.tensor([[2, 4, 1, 3], [2, 1, 9, 9]])
        mask = torch.tensor([[True] * 4, [True, True, False, False]])
        together, _ = ranking_loss(scores, ranks, mask)
        first, _ = ranking_loss(scores[:1], ranks[:1], mask[:1])
        second, _ = ranking_loss(scores[1:, :2], ranks[1:, :2], mask[1:, :2])
        assert float(together) == pytest.approx((float(first) + float(second)) / 2, rel=1e-6)

    def test_label_weights_weigh_prompts(self):
        scores, ranks = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1, 2], [1, 2]])
        loss, _ = ranking_loss(scores, ranks, full(2, 2), torch.tensor([3.0, 1.0]))
        right, wrong = math.log1p(math.exp(-1)), math.log1p(math.exp(1))
        assert float(loss) == pytest.approx((3 * right + wrong) / 4, rel=1e-6)

    def test_it_agrees_with_plain_loops(self):
        random = np.random.default_rng(1)
        scores = random.normal(size=(5, 6))
        ranks = random.integers(1, 4, size=(5, 6))
        sizes = [6, 2, 4, 5, 3]
        total = []
        for row, size in enumerate(sizes):
            losses = [
                -math.log(1 / (1 + math.exp(-(scores[row, i] - scores[row, j]))))
                for i in range(size)
                for j in range(size)
                if ranks[row, i] < ranks[row, j]
            ]
            if losses:
                total.append(sum(losses) / len(losses))
        mask = torch.arange(6).unsqueeze(0) < torch.tensor(sizes).unsqueeze(1)
        loss, _ = ranking_loss(torch.tensor(scores), torch.tensor(ranks), mask)
        assert float(loss) == pytest.approx(sum(total) / len(total), rel=1e-12)


class TestPolicyLoss:
    def test_a_ratio_of_one_gives_minus_the_mean_advantage(self):
        logprobs = torch.tensor([[-1.0, -2.0], [-3.0, -9.0]])
        mask = torch.tensor([[True, True], [True, False]])
        loss, stats = ppo_policy_loss(
            logprobs, logprobs, torch.tensor([[1.0, 2.0], [-6.0, 77.0]]), mask, clip=0.2
        )
        assert float(loss) == pytest.approx(1.0)
        assert stats == (0.0, 1.0, 0.0)

    def test_it_clips_what_would_go_too_far_by_hand(self):
        # ratio 1.5: A = 1 gives 1.2, A = −1 gives −1.5. ratio 0.5: A = 1 gives .5, A = −1 −.8.
        new = torch.log(torch.tensor([[1.5, 1.5, 0.5, 0.5]]))
        advantages = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
        loss, stats = ppo_policy_loss(new, torch.zeros(1, 4), advantages, full(1, 4), clip=0.2)
        assert float(loss) == pytest.approx(-(1.2 - 1.5 + 0.5 - 0.8) / 4, abs=1e-6)
        assert stats.clip_share == 1.0

    def test_a_whole_completion_is_clipped_by_the_geometric_mean_of_its_ratios(self):
        # Row 1: √(2 · ½) = 1. Row 2: 1.5, which its token has, clipped to 1.2.
        new = torch.log(torch.tensor([[2.0, 0.5], [1.5, 7.0]])).requires_grad_()
        mask = torch.tensor([[True, True], [True, False]])
        loss, stats = ppo_policy_loss(
            new, torch.zeros(2, 2), torch.ones(2, 2), mask, clip=0.2, whole=True
        )
        assert float(loss.detach()) == pytest.approx(-(1 + 1 + 1.2) / 3, abs=1e-6)
        assert stats.clip_share == pytest.approx(1 / 3)
        # k3 stays that of the tokens: (2 − 1 − ln 2 + ½ − 1 − ln ½ + 1.5 − 1 − ln 1.5) / 3.
        assert stats.kl == pytest.approx((1.0 - 0.5 + 0.5 - np.log(1.5)) / 3, abs=1e-6)
        loss.backward()
        assert new.grad[0].tolist() == pytest.approx([-1 / 3, -1 / 3], abs=1e-6)
        assert new.grad[1].tolist() == [0.0, 0.0]

    def test_no_gradient_flows_where_it_clips(self):
        new = torch.log(torch.tensor([[1.5, 1.1]])).requires_grad_()
        loss, _ = ppo_policy_loss(new, torch.zeros(1, 2), torch.ones(1, 2), full(1, 2), clip=0.2)
        loss.backward()
        assert new.grad is not None
        assert new.grad[0, 0] == 0
        assert new.grad[0, 1] == pytest.approx(-0.55, abs=1e-6)

    def test_micro_batches_add_up_to_the_minibatch(self):
        random = torch.Generator().manual_seed(0)
        new, old, advantages = (torch.randn(6, 5, generator=random) * 0.3 for _ in range(3))
        mask = torch.rand(6, 5, generator=random) > 0.3
        whole, _ = ppo_policy_loss(new, old, advantages, mask, clip=0.2)
        count = float(mask.sum())
        parts = sum(
            ppo_policy_loss(
                new[i : i + 2],
                old[i : i + 2],
                advantages[i : i + 2],
                mask[i : i + 2],
                clip=0.2,
                denominator=count,
            )[0]
            for i in (0, 2, 4)
        )
        assert float(whole) == pytest.approx(float(parts), rel=1e-5)

    def test_masked_tokens_may_hold_anything(self):
        mask = torch.tensor([[True, False]])
        new = torch.tensor([[0.0, float("-inf")]])
        loss, _ = ppo_policy_loss(new, torch.zeros(1, 2), torch.ones(1, 2), mask, clip=0.2)
        assert float(loss) == -1.0


def test_sampler_weights_are_truncated_at_two():
    old = torch.log(torch.tensor([[1.0, 0.9, 0.9, 0.5]]))
    sampler = torch.log(torch.tensor([[0.5, 0.3, 0.6, 0.1]]))
    mask = torch.tensor([[True, True, True, False]])
    expected = torch.tensor([[2.0, 2.0, 1.5, 1.0]])
    assert torch.allclose(sampler_weights(old, sampler, mask), expected)


class TestValueLoss:
    def test_by_hand(self):
        # value 1 against return 0: ½. value 2, old 1, clipped to 1.2, return 3: max(1, 3.24)/2.
        loss, stats = value_loss(
            torch.tensor([[1.0, 2.0]]),
            torch.tensor([[1.0, 1.0]]),
            torch.tensor([[0.0, 3.0]]),
            full(1, 2),
            clip=0.2,
        )
        assert float(loss) == pytest.approx((0.5 + 1.62) / 2, rel=1e-6)
        assert stats.clip_share == 0.5

    def test_masked_tokens_do_not_count(self):
        mask = torch.tensor([[True, False]])
        loss, _ = value_loss(
            torch.tensor([[1.0, 50.0]]), torch.zeros(1, 2), torch.ones(1, 2), mask, clip=9
        )
        assert float(loss) == 0.0


class TestKl:
    def test_both_estimates_are_zero_for_equal_policies(self):
        logprobs = torch.randn(2, 3)
        assert kl_k1(logprobs, logprobs, full(2, 3)).abs().max() == 0
        assert kl_k3(logprobs, logprobs, full(2, 3)).abs().max() == 0

    def test_both_are_unbiased_for_the_exact_divergence(self):
        p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.5])
        exact = float((p * (p / q).log()).sum())
        each = kl_k1(p.log(), q.log(), torch.ones(3, dtype=torch.bool))
        third = kl_k3(p.log(), q.log(), torch.ones(3, dtype=torch.bool))
        assert float((p * each).sum()) == pytest.approx(exact, rel=1e-6)
        assert float((p * third).sum()) == pytest.approx(exact, rel=1e-6)
        assert (third >= 0).all()

    def test_the_gradient_of_k3_is_that_of_the_other_divergence(self):
        """Over all tokens of a categorical: E_π ∇k3 = ∇KL(π_ref‖π), and not ∇KL(π‖π_ref)."""
        logits = torch.tensor([0.3, -1.0, 0.7, 0.1], dtype=torch.float64, requires_grad=True)
        reference = torch.tensor([0.5, 0.2, -0.4, 0.0], dtype=torch.float64).log_softmax(0)
        logp = logits.log_softmax(0)
        each = kl_k3(logp.view(1, -1), reference.view(1, -1), torch.ones(1, 4, dtype=torch.bool))
        (found,) = torch.autograd.grad((logp.exp().detach() * each).sum(), logits)
        logp = logits.log_softmax(0)
        (other,) = torch.autograd.grad((reference.exp() * (reference - logp)).sum(), logits)
        logp = logits.log_softmax(0)
        (exact,) = torch.autograd.grad((logp.exp() * (logp - reference)).sum(), logits)
        assert torch.allclose(found, other, atol=1e-12)
        assert not torch.allclose(found, exact, atol=1e-2)

    def test_in_a_loss_it_is_weighed_and_divided_like_the_surrogate(self):
        """k3 of log-ratios 0, log 2 and log ½: 0, ½ − 1 + log 2, 2 − 1 − log 2."""
        gap = torch.tensor([[0.0, math.log(2), math.log(0.5)]])
        mask = torch.tensor([[True, True, True]])
        values = [0.0, 0.5 - 1 + math.log(2), 2 - 1 - math.log(2)]
        zeros = torch.zeros_like(gap)
        assert float(kl_loss(gap, zeros, mask)) == pytest.approx(sum(values) / 3)
        weights = torch.tensor([[1.0, 2.0, 0.0]])
        found = kl_loss(gap, zeros, mask, weights=weights, denominator=5.0)
        assert float(found) == pytest.approx(2 * values[1] / 5)

    def test_masked_tokens_are_zero(self):
        mask = torch.tensor([[True, False]])
        found = kl_k1(torch.tensor([[-1.0, -1.0]]), torch.tensor([[-2.0, float("-inf")]]), mask)
        assert found.tolist() == [[1.0, 0.0]]


class TestTokenLoss:
    def test_it_is_the_mean_over_valid_tokens(self):
        logprobs = torch.tensor([[-1.0, -2.0, -9.0], [-3.0, -9.0, -9.0]])
        mask = torch.tensor([[True, True, False], [True, False, False]])
        assert float(token_loss(logprobs, mask)) == 2.0

    def test_weights_weigh_rows(self):
        logprobs = torch.tensor([[-1.0, -2.0], [-3.0, -9.0]])
        mask = torch.tensor([[True, True], [True, False]])
        loss = token_loss(logprobs, mask, torch.tensor([1.0, 2.0]))
        assert float(loss) == pytest.approx((1 + 2 + 2 * 3) / 4)


class TestPlackettLuce:
    def test_three_completions_by_hand(self):
        # Scores 2, 1, −1 in this order: first among three, then first among the last two.
        loss, stats = plackett_luce_loss(
            torch.tensor([[2.0, 1.0, -1.0]]), torch.tensor([[1, 2, 3]]), full(1, 3)
        )
        first = math.exp(2) / (math.exp(2) + math.exp(1) + math.exp(-1))
        second = math.exp(1) / (math.exp(1) + math.exp(-1))
        assert float(loss) == pytest.approx(-(math.log(first) + math.log(second)) / 2, rel=1e-6)
        assert stats == (1.0, 3, 0)

    def test_of_two_it_is_bradley_terry(self):
        scores, ranks = torch.tensor([[0.3, -1.1], [2.0, 0.5]]), torch.tensor([[2, 1], [1, 2]])
        loss, _ = plackett_luce_loss(scores, ranks, full(2, 2))
        same, _ = ranking_loss(scores, ranks, full(2, 2))
        assert float(loss) == pytest.approx(float(same), rel=1e-6)

    def test_tied_completions_do_not_compete(self):
        # a = b over c: each of a, b against c alone.
        loss, stats = plackett_luce_loss(
            torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[1, 1, 2]]), full(1, 3)
        )
        by_hand = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
        assert float(loss) == pytest.approx(by_hand, rel=1e-6)
        assert (stats.pairs, stats.tied_pairs) == (2, 1)

    def test_one_tie_has_no_loss_and_a_gradient_of_zero(self):
        scores = torch.tensor([[1.0, 0.0, 3.0]], requires_grad=True)
        loss, _ = plackett_luce_loss(scores, torch.tensor([[1, 1, 1]]), full(1, 3))
        loss.backward()
        assert float(loss.detach()) == 0.0
        assert scores.grad is not None
        assert scores.grad.tolist() == [[0.0, 0.0, 0.0]]

    def test_padding_and_a_shift_of_all_scores_change_nothing(self):
        scores, ranks = torch.tensor([[0.3, -0.4, 1.1]]), torch.tensor([[2, 3, 1]])
        plain, _ = plackett_luce_loss(scores, ranks, full(1, 3))
        padded, _ = plackett_luce_loss(
            torch.tensor([[7.3, 6.6, 8.1, 99.0]]),
            torch.tensor([[2, 3, 1, 1]]),
            torch.tensor([[True, True, True, False]]),
        )
        assert float(padded) == pytest.approx(float(plain), rel=1e-5)


class TestIpo:
    def test_three_completions_by_hand(self):
        # Differences 1, 3, 2; the target with τ = 0.25 is 2: squares 1, 1, 0.
        loss, stats = ipo_loss(
            torch.tensor([[2.0, 1.0, -1.0]]), torch.tensor([[1, 2, 3]]), full(1, 3), tau=0.25
        )
        assert float(loss) == pytest.approx(2 / 3, rel=1e-6)
        assert stats == (1.0, 3, 0)

    def test_a_policy_that_is_its_reference_costs_a_quarter_of_one_over_tau_squared(self):
        loss, _ = ipo_loss(torch.zeros(1, 2), torch.tensor([[1, 2]]), full(1, 2), tau=0.1)
        assert float(loss) == pytest.approx(25.0, rel=1e-6)

    def test_tied_pairs_are_dropped_and_label_weights_weigh_prompts(self):
        ratios = torch.tensor([[1.0, 5.0], [0.0, 0.0], [2.0, 0.0]])
        ranks = torch.tensor([[1, 1], [1, 2], [1, 2]])
        loss, stats = ipo_loss(ratios, ranks, full(3, 2), torch.tensor([9.0, 1.0, 3.0]), tau=0.5)
        assert float(loss) == pytest.approx((1 * 1.0 + 3 * 1.0) / 4, rel=1e-6)
        assert stats.tied_pairs == 1
