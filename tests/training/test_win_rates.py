from __future__ import annotations

import pytest

from training.win_rates import at_least, exact_interval, win_rate


def test_win_rate_counts_ties_one_half_and_weighs_comparisons() -> None:
    found = win_rate([[1.0, 0.5], [0.0], [1.0]], alpha=0.05, seed=1)
    assert found is not None
    assert found.rate == 2.5 / 4
    assert found.prompts == 3
    assert found.comparisons == 4
    assert found.low <= found.rate <= found.high


def test_win_rate_of_nothing_is_nothing() -> None:
    assert win_rate([], alpha=0.05, seed=1) is None


def test_the_interval_is_that_of_a_binomial_share() -> None:
    # 100 prompts, 80 won: ± 1.96 · √(.8 · .2 / 100) = ± .078
    found = win_rate([[1.0]] * 80 + [[0.0]] * 20, alpha=0.05, seed=3)
    assert found is not None
    assert found.low == pytest.approx(0.722, abs=0.016)
    assert found.high == pytest.approx(0.878, abs=0.016)


@pytest.mark.parametrize(
    ("won", "trials", "low", "high"),
    [  # textbook values of Clopper and Pearson's interval at 95 %
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (80, 100, 0.7082, 0.8733),
    ],
)
def test_the_exact_interval_is_the_textbooks(
    won: int, trials: int, low: float, high: float
) -> None:
    assert exact_interval(won, trials=trials, alpha=0.05) == pytest.approx((low, high), abs=1e-4)


def test_a_binomial_tail_by_hand() -> None:
    # 3 or 4 heads of 4: (4 + 1) / 16
    assert at_least(3, 4, 0.5) == pytest.approx(5 / 16)


def test_ties_make_the_exact_interval_wider_on_both_sides() -> None:
    low, _ = exact_interval(7, trials=10, alpha=0.05)
    _, high = exact_interval(8, trials=10, alpha=0.05)
    assert exact_interval(7.5, trials=10, alpha=0.05) == (low, high)


@pytest.mark.parametrize("votes", [4, 5])
def test_a_handful_of_votes_that_all_agree_is_not_beyond_doubt(votes: int) -> None:
    # The lower bound of n of n is (α/2)^(1/n): .334 and .416 at the first look's α of .025.
    found = win_rate([[1.0]] * votes, alpha=0.025, seed=1)
    assert found is not None
    assert found.rate == 1.0
    assert found.low == pytest.approx(0.0125 ** (1 / votes), abs=1e-6)
