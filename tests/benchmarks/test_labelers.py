"""Simulated labelers are consistent, independent and as unsure as they were made to be."""

import math
from itertools import combinations
from statistics import fmean, pstdev

import pytest

from benchmarks.labelers import (
    SimulatedLabeler,
    calibrate_noise,
    expected_agreement_with_gold,
)

SLATE = ("A prompt", ["1.5", "3", "2", "3", "0"])


def value_of(_prompt, completion):
    """A gold score that can be read off the text: '1.5' is worth 1.5, and so is '1.5 again'."""
    return float(completion.split()[0])


def labeler(seed=1, noise=0.0):
    return SimulatedLabeler(name=f"labeler {seed}", seed=seed, noise=noise)


class TestRanking:
    def test_without_noise_it_ranks_as_the_gold_does(self):
        assert labeler().rank(value_of, *SLATE) == [3, 1, 2, 1, 4]

    def test_it_ranks_several_slates_in_their_order(self):
        slates = [SLATE, ("Another", ["1", "2"]), ("Nothing", [])]
        assert labeler().rank_slates(value_of, slates) == [[3, 1, 2, 1, 4], [2, 1], []]

    def test_equal_texts_share_a_rank_whatever_the_noise(self):
        ranks = labeler(noise=5).rank(value_of, "A prompt", ["1", "2", "1", "3", "2"])
        assert ranks[0] == ranks[2]
        assert ranks[1] == ranks[4]
        assert sorted(set(ranks)) == [1, 2, 3]

    def test_different_texts_of_the_same_gold_are_told_apart_by_noise(self):
        texts = [f"1 {n}" for n in range(9)]
        assert sorted(labeler(noise=0.1).rank(value_of, "A prompt", texts)) == list(range(1, 10))

    def test_asked_again_in_another_order_it_says_the_same(self):
        texts = [f"{n % 3} {n}" for n in range(9)]
        first = labeler(noise=1).rank(value_of, "A prompt", texts)
        again = labeler(noise=1).rank(value_of, "A prompt", texts[::-1])
        assert again == first[::-1]

    @pytest.mark.parametrize("noise", [-0.1, math.nan, math.inf])
    def test_it_refuses_a_noise_that_is_no_standard_deviation(self, noise):
        with pytest.raises(ValueError, match="standard deviation"):
            labeler(noise=noise)


class TestNoise:
    def draws(self, seed=1, prompt="A prompt", noise=2.0):
        judge = labeler(seed, noise)
        return [judge.perceived(value_of, prompt, f"10 {n}") - 10 for n in range(2000)]

    def test_it_is_gaussian_with_the_standard_deviation_asked_for(self):
        draws = self.draws(noise=2.0)
        assert fmean(draws) == pytest.approx(0, abs=0.15)  # standard error 0.045
        assert pstdev(draws) == pytest.approx(2, abs=0.1)  # standard error 0.032
        assert fmean(abs(x) < 2 for x in draws) == pytest.approx(0.683, abs=0.035)

    @pytest.mark.parametrize("other", [{"seed": 2}, {"prompt": "Another prompt"}])
    def test_another_labeler_or_prompt_gets_independent_noise(self, other):
        pairs = zip(self.draws(), self.draws(**other), strict=True)
        correlation = fmean(a * b for a, b in pairs) / 4
        assert correlation == pytest.approx(0, abs=0.08)  # standard error 0.022

    def test_prompt_and_completion_are_kept_apart_in_the_key(self):
        judge = labeler(noise=1)

        def nothing(_prompt, _completion):
            return 0.0

        assert judge.perceived(nothing, "ab", "c") != judge.perceived(nothing, "a", "bc")

    def test_any_text_can_be_judged(self):
        assert labeler(noise=1).rank(lambda _p, _c: 0.0, "\ud800", ["", "\x00"]) in ([1, 2], [2, 1])


class TestCalibration:
    def test_one_pair_gives_the_noise_worked_out_by_hand(self):
        # p² + (1 - p)² = 0.625 for p = 3/4, and Φ(0.67449) = 3/4: so σ√2 = 1 / 0.67449.
        # The spread of 0 and 1 is √½, so in units of it σ = 1 / 0.67449 = 1.48260.
        found = calibrate_noise(value_of, [("A prompt", ["0", "1"])], 0.625)
        assert found.spread == pytest.approx(math.sqrt(0.5))
        assert found.relative == pytest.approx(1.48260, abs=1e-5)
        assert found.noise == pytest.approx(1.04836, abs=1e-5)

    def test_the_spread_is_pooled_within_slates(self):
        # Squares 2 (of 0, 2 around 1) + 2 (of 9, 10, 11 around 10), over 1 + 2 degrees of freedom.
        samples = [("One", ["0", "2"]), ("Two", ["9", "10", "11"]), ("Three", ["500"])]
        assert calibrate_noise(value_of, samples).spread == pytest.approx(math.sqrt(4 / 3))

    def test_a_gold_in_other_units_gives_the_same_relative_noise(self):
        one = calibrate_noise(value_of, [SLATE])
        thousand = calibrate_noise(lambda p, c: 1000 * value_of(p, c) + 7, [SLATE])
        assert thousand.relative == pytest.approx(one.relative)
        assert thousand.noise == pytest.approx(1000 * one.noise)

    def test_equal_texts_do_not_count(self):
        once = calibrate_noise(value_of, [("A prompt", ["0", "1", "3"])])
        twice = calibrate_noise(value_of, [("A prompt", ["0", "1", "3", "0", "3"])])
        assert twice == once

    def test_two_simulated_labelers_agree_on_the_share_asked_for(self):
        samples = [
            (f"Prompt {i}", [f"{(7 * i + k * k * 3) % 11} {k}" for k in range(5)])
            for i in range(1500)
        ]
        noise = calibrate_noise(value_of, samples, 0.73).noise
        first = labeler(1, noise).rank_slates(value_of, samples)
        second = labeler(2, noise).rank_slates(value_of, samples)
        agreements = [
            (a[i] < a[j]) == (b[i] < b[j])
            for a, b in zip(first, second, strict=True)
            for i, j in combinations(range(5), 2)
        ]
        assert fmean(agreements) == pytest.approx(0.73, abs=0.015)  # standard error about 0.005

    def test_it_refuses_a_gold_that_tells_nothing_apart(self):
        with pytest.raises(ValueError, match="apart"):
            calibrate_noise(value_of, [("A prompt", ["1 a", "1 b"]), ("Another", ["2"])])

    def test_it_refuses_samples_without_a_pair(self):
        with pytest.raises(ValueError, match="apart"):
            calibrate_noise(value_of, [])

    @pytest.mark.parametrize("target", [0.5, 1.0, 0.4])
    def test_it_refuses_an_agreement_that_no_noise_gives(self, target):
        with pytest.raises(ValueError, match=r"can agree on 50 % to 100\.0 %"):
            calibrate_noise(value_of, [("A prompt", ["0", "1"])], target)

    def test_pairs_of_the_same_gold_bound_what_can_be_reached(self):
        # One of three pairs has the same gold: at most (1 + 1 + ½) / 3 = 83.3 %.
        samples = [("A prompt", ["0", "1 a", "1 b"])]
        assert calibrate_noise(value_of, samples, 0.83).relative > 0
        with pytest.raises(ValueError, match=r"83\.3 %"):
            calibrate_noise(value_of, samples, 0.84)


class TestExpectedAgreementWithGold:
    @pytest.mark.parametrize(
        ("agreement", "with_gold"), [(0.5, 0.5), (0.625, 0.75), (0.82, 0.9), (1, 1)]
    )
    def test_two_who_are_right_that_often_agree_that_often(self, agreement, with_gold):
        assert expected_agreement_with_gold(agreement) == pytest.approx(with_gold)

    def test_the_papers_labelers_would_be_right_on_84_percent(self):
        assert expected_agreement_with_gold(0.73) == pytest.approx(0.8391, abs=5e-5)

    @pytest.mark.parametrize("agreement", [0.49, 1.01, math.nan])
    def test_it_refuses_what_independent_labelers_cannot_show(self, agreement):
        with pytest.raises(ValueError, match="50 % to 100 %"):
            expected_agreement_with_gold(agreement)
