"""The ridge probe against an independent solution, and on planted scores."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.rlhf.probe import (
    accuracy_interval,
    calibration,
    fit_probe,
    fold_numbers,
)
from training.rlhf.rankings import Rankings


def planted(*, prompts, features, noise, seed=0, K=4, informative=5):
    """Rankings by a hidden linear score with Gaussian noise, its features and the true weights."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(prompts * K, features))
    weight = np.zeros(features)
    weight[:informative] = random.normal(size=informative)
    gold = rows @ weight / np.linalg.norm(weight)
    said = gold + noise * random.normal(size=len(gold))
    groups = [list(range(i * K, i * K + K)) for i in range(prompts)]
    ranks = [(np.argsort(np.argsort(-said[group])) + 1).tolist() for group in groups]
    rankings = Rankings(
        rows=groups,
        ranks=ranks,
        prompts=[f"p{i}" for i in range(prompts)],
        weights=[1.0] * prompts,
    )
    return torch.tensor(rows), rankings, torch.tensor(gold)


@pytest.mark.parametrize("graded", [False, True])
def test_it_is_least_squares_on_the_differences_of_pairs(graded):
    features, rankings, gold = planted(prompts=30, features=6, noise=0.5)
    if graded:  # every other ranking, by a worth that does not always go with its ranks
        worth = [gold[rows].tolist() if i % 2 else [] for i, rows in enumerate(rankings.rows)]
        rankings = replace(rankings, worth=worth)
    probe = fit_probe(features, rankings, {"all": range(6)}, folds=3, seed=0, ridges=[0.7])
    # Independently: all pairs (tied ones too) as rows, in numpy.
    x = features.numpy()
    centred = np.concatenate([x[r] - x[r].mean(0) for r in rankings.rows])
    scale = np.sqrt((centred**2).mean(0))
    rows, targets = [], []
    for number, (group, ranks) in enumerate(zip(rankings.rows, rankings.ranks, strict=True)):
        for a in range(4):
            for b in range(a):
                rows.append((x[group[a]] - x[group[b]]) / scale)
                sign = np.sign(ranks[b] - ranks[a])
                lead = float(gold[group[a]] - gold[group[b]]) if graded and number % 2 else 0.0
                targets.append(sign * (1 + max(0.0, sign * lead)))
    pairs, wanted = np.array(rows), np.array(targets)
    # Summed over a ranking's pairs, squares are K times what they are centred: 4 · 120 rows.
    gram = pairs.T @ pairs / 480 + 0.7 * np.eye(6)
    expected = np.linalg.solve(gram, pairs.T @ wanted / 480) / scale
    assert np.abs(probe.weight.numpy() - expected).max() < 1e-10


def test_fewer_rows_than_features_give_the_same_fit():
    features, rankings, _ = planted(prompts=12, features=90, noise=0.5)
    wide = fit_probe(features, rankings, {"all": range(90)}, folds=3, seed=0, ridges=[0.5])
    x = features.numpy()
    centred = np.concatenate([x[r] - x[r].mean(0) for r in rankings.rows])
    scale = np.sqrt((centred**2).mean(0))
    targets = np.concatenate([(np.array(r).mean() - np.array(r)) / 2 for r in rankings.ranks])
    used = centred / scale
    gram = used.T @ used / 48 + 0.5 * np.eye(90)
    expected = np.linalg.solve(gram, used.T @ targets / 48) / scale
    assert np.abs(wide.weight.numpy() - expected).max() < 1e-8


def test_it_finds_a_planted_score():
    features, rankings, gold = planted(prompts=200, features=40, noise=0.5)
    probe = fit_probe(features, rankings, {"all": range(40)}, folds=5, seed=0)
    scores = features.double() @ probe.weight
    assert float(torch.corrcoef(torch.stack([scores, gold]))[0, 1]) > 0.97
    found = accuracy_interval(probe.out_of_fold, rankings, draws=300, seed=0)
    assert 0.75 < found.low < found.value < found.high < 0.92


def test_noise_stays_at_chance_out_of_fold():
    features, rankings, _ = planted(prompts=60, features=300, noise=0.0)
    columns = {f"set {i}": range(i * 30 + 5, i * 30 + 35) for i in range(9)}
    probe = fit_probe(features, rankings, columns, folds=5, seed=0)
    found = accuracy_interval(probe.out_of_fold, rankings, draws=300, seed=0)
    assert found.low < 0.5 < found.high


def test_it_chooses_the_columns_that_matter():
    features, rankings, _ = planted(prompts=80, features=60, noise=0.3)
    columns = {"noise": range(5, 60), "signal": range(5)}
    probe = fit_probe(features, rankings, columns, folds=5, seed=0)
    assert probe.columns == "signal"
    assert (probe.weight[5:] == 0).all()


def test_two_labelers_of_one_slate_count_twice():
    features, rankings, _ = planted(prompts=20, features=6, noise=0.5)
    doubled = Rankings(
        rows=[*rankings.rows, *rankings.rows],
        ranks=[*rankings.ranks, *rankings.ranks],
        prompts=[*rankings.prompts, *rankings.prompts],
        weights=[0.5] * 40,
    )
    once = fit_probe(features, rankings, {"all": range(6)}, folds=4, seed=0)
    twice = fit_probe(features, doubled, {"all": range(6)}, folds=4, seed=0)
    assert torch.allclose(once.weight, twice.weight, rtol=1e-9)


def test_more_folds_than_prompts_are_refused():
    features, rankings, _ = planted(prompts=4, features=6, noise=0.5)
    with pytest.raises(ValueError, match="5 folds over 4 groups"):
        fit_probe(features, rankings, {"all": range(6)}, folds=5, seed=0)


def test_rankings_of_one_prompt_share_a_fold_and_folds_are_even():
    numbers = fold_numbers(["a", "b", "a", "c", "d", "b"], 2, seed=3)
    assert numbers[0] == numbers[2]
    assert numbers[1] == numbers[5]
    assert sorted({0: numbers[0], 1: numbers[1], 2: numbers[3], 3: numbers[4]}.values()) == [
        0,
        0,
        1,
        1,
    ]


def test_a_near_duplicate_does_not_tell_what_its_twin_was_ranked_like():
    """Labels are noise, but each prompt has a twin that got the same: only a leak can learn."""
    random = np.random.default_rng(5)
    rows = random.normal(size=(40, 4, 60))
    features = torch.tensor(np.concatenate([rows, rows]).reshape(320, 60))
    ranks = [(random.permutation(4) + 1).tolist() for _ in range(40)]
    twins = Rankings(
        rows=[list(range(4 * n, 4 * n + 4)) for n in range(80)],
        ranks=ranks + ranks,
        prompts=[f"p{n}" for n in range(80)],
        weights=[1.0] * 80,
    )
    grouped = replace(twins, groups=[f"g{n % 40}" for n in range(80)])

    def accuracy(rankings):
        probe = fit_probe(features, rankings, {"all": range(60)}, folds=5, seed=0)
        return accuracy_interval(probe.out_of_fold, rankings, draws=300, seed=0)

    leaking, honest = accuracy(twins), accuracy(grouped)
    assert leaking.low > 0.58
    assert honest.low < 0.5 < honest.high
    # And the 80 rankings are 40 independent ones: √2 times the interval.
    width = accuracy_interval(features[:, 0], twins, draws=4000, seed=0)
    wider = accuracy_interval(features[:, 0], grouped, draws=4000, seed=0)
    assert wider.high - wider.low == pytest.approx(
        math.sqrt(2) * (width.high - width.low), rel=0.05
    )


def test_pairs_and_ties_are_counted():
    rankings = Rankings(
        rows=[[0, 1, 2], [3, 4]], ranks=[[1, 1, 2], [1, 1]], prompts=["a", "b"], weights=[1.0, 1.0]
    )
    assert (rankings.pairs, rankings.tied_pairs) == (2, 2)


def test_accuracy_counts_equal_scores_one_half():
    rankings = Rankings(rows=[[0, 1, 2]], ranks=[[1, 2, 3]], prompts=["a"], weights=[1.0])
    found = accuracy_interval(torch.tensor([1.0, 1.0, 0.0]), rankings, draws=10, seed=0)
    assert found.value == pytest.approx(2.5 / 3)


class TestCalibration:
    def test_it_recovers_the_scale_of_logistic_labels(self):
        random = np.random.default_rng(0)
        scores = torch.tensor(random.normal(size=20000))
        rows = [[2 * i, 2 * i + 1] for i in range(10000)]
        differences = (scores[0::2] - scores[1::2]).numpy()
        wins = random.random(10000) < 1 / (1 + np.exp(-1.7 * differences))
        rankings = Rankings(
            rows=rows,
            ranks=[[1, 2] if won else [2, 1] for won in wins],
            prompts=[str(i) for i in range(10000)],
            weights=[1.0] * 10000,
        )
        scale, loss = calibration(scores, rankings)
        assert scale == pytest.approx(1.7, abs=0.08)
        assert loss < 0.55

    def test_scores_of_the_wrong_sign_say_nothing(self):
        rankings = Rankings(rows=[[0, 1]], ranks=[[1, 2]], prompts=["a"], weights=[1.0])
        scale, loss = calibration(torch.tensor([0.0, 1.0]), rankings)
        assert scale == 0.0
        assert loss == pytest.approx(math.log(2), abs=1e-6)


def test_a_freer_feature_is_one_with_a_smaller_ridge():
    features, rankings, _ = planted(prompts=30, features=6, noise=0.5)
    freedom = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 3.0])
    probe = fit_probe(
        features, rankings, {"all": range(6)}, folds=3, seed=0, ridges=[0.7], freedom=freedom
    )
    x = features.numpy()
    centred = np.concatenate([x[r] - x[r].mean(0) for r in rankings.rows])
    scale = np.sqrt((centred**2).mean(0))
    targets = np.concatenate([(np.array(r).mean() - np.array(r)) / 2 for r in rankings.ranks])
    used = centred / scale
    gram = used.T @ used / 120 + np.diag([0.7] * 5 + [0.7 / 9])
    expected = np.linalg.solve(gram, used.T @ targets / 120) / scale
    assert np.abs(probe.weight.numpy() - expected).max() < 1e-8


@pytest.mark.parametrize("features", [6, 60])
def test_a_ranking_of_weight_two_is_as_two_of_weight_one(features):
    rows, rankings, _ = planted(prompts=12, features=features, noise=0.5)
    weights = [1.0, 2.0, 3.0] * 4
    weighted = Rankings(
        rows=rankings.rows, ranks=rankings.ranks, prompts=rankings.prompts, weights=weights
    )
    often = [number for number in range(12) for _ in range(int(weights[number]))]
    columns = {"all": range(features)}
    one = fit_probe(rows, weighted, columns, folds=3, seed=0)
    other = fit_probe(rows, rankings.subset(often), columns, folds=3, seed=0)
    assert one.ridge == other.ridge
    assert torch.allclose(one.weight, other.weight, atol=1e-8, rtol=1e-6)
    assert torch.allclose(one.out_of_fold, other.out_of_fold, atol=1e-8, rtol=1e-6)
    plain = fit_probe(rows, rankings, columns, folds=3, seed=0)
    assert not torch.allclose(one.weight, plain.weight, atol=1e-4)
