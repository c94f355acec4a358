"""Intervals over prompts."""

import math

import numpy as np
import pytest

from training.rlhf.bootstrap import best_of_wins, look_alpha, ratio_interval, wins


def test_the_value_is_the_ratio_of_the_sums():
    found = ratio_interval([3, 0, 1], [3, 1, 4], draws=100, seed=0)
    assert found.value == 0.5
    assert found.low <= 0.5 <= found.high


def test_it_is_as_wide_as_theory_says():
    outcomes = (np.arange(400) % 4 == 0).astype(float)
    found = ratio_interval(outcomes, np.ones(400), draws=4000, seed=0)
    half = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert found.low == pytest.approx(0.25 - half, abs=0.006)
    assert found.high == pytest.approx(0.25 + half, abs=0.006)


def test_samples_of_one_prompt_are_not_taken_for_independent():
    grouped = ratio_interval([10] * 5 + [0] * 5, [10] * 10, draws=1000, seed=0)
    single = ratio_interval([1] * 50 + [0] * 50, [1] * 100, draws=1000, seed=0)
    assert grouped.high - grouped.low > 2.5 * (single.high - single.low)


def test_the_same_seed_gives_the_same_interval():
    first = ratio_interval([1, 0, 1, 1], [1] * 4, draws=50, seed=7)
    assert first == ratio_interval([1, 0, 1, 1], [1] * 4, draws=50, seed=7)


def test_nothing_to_compare_is_not_a_number():
    assert all(math.isnan(number) for number in ratio_interval([0], [0], draws=10, seed=0))


def test_all_looks_together_spend_alpha():
    assert sum(look_alpha(0.05, look) for look in range(1, 100_000)) == pytest.approx(0.05, 1e-4)


def test_a_tie_is_half_a_win():
    assert wins([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]).tolist() == [0.0, 0.5, 1.0]


def test_best_of_two_against_each_of_three_in_turn():
    # Without the first, the third is liked best, and 6 > 5; else the first: 5 > 4, 5 < 6.
    assert best_of_wins([[3, 1, 2]], [[5, 4, 6]]) == pytest.approx([2 / 3])
    assert best_of_wins([[3, 1, 2], [1, 2, 3]], [[1, 1, 1], [3, 2, 1]]) == pytest.approx(
        [0.5, 1 / 3]
    )


def test_best_of_n_is_what_one_comparison_measures_but_less_noisy():
    random = np.random.default_rng(0)
    scores = random.normal(size=(20_000, 9))
    rewards = scores + 2 * random.normal(size=scores.shape)
    plain = wins(
        np.take_along_axis(scores, rewards[:, 1:].argmax(1)[:, None] + 1, 1)[:, 0], scores[:, 0]
    )
    better = best_of_wins(rewards, scores)
    assert better.mean() == pytest.approx(plain.mean(), abs=0.012)
    assert better.std() < 0.75 * plain.std()
    nothing = best_of_wins(random.normal(size=scores.shape), scores)
    assert nothing.mean() == pytest.approx(0.5, abs=0.01)


def test_the_bounds_of_a_late_look_are_beyond_what_two_thousand_draws_reach():
    # 60 of 100 won: a binomial share's quantile at α/2, worked out exactly.
    alpha = look_alpha(0.05, 20)
    found = ratio_interval([1] * 60 + [0] * 40, [1] * 100, draws=2000, seed=0, alpha=alpha)
    assert found.low == pytest.approx(binomial_quantile(100, 0.6, alpha / 2), abs=0.01)
    assert found.high == pytest.approx(binomial_quantile(100, 0.6, 1 - alpha / 2), abs=0.01)


def binomial_quantile(n: int, p: float, level: float) -> float:
    """The share below which `level` of a binomial share's mass is."""
    mass = 0.0
    for wins_ in range(n + 1):
        mass += math.comb(n, wins_) * p**wins_ * (1 - p) ** (n - wins_)
        if mass >= level:
            return wins_ / n
    return 1.0


def test_no_look_takes_more_draws_than_memory_holds():
    found = ratio_interval([1, 0], [1, 1], draws=10, seed=0, alpha=1e-12)
    assert (found.low, found.high) == (0.0, 1.0)
