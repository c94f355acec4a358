"""A fit's posterior against the whole covariance matrix, worked out in numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.rlhf.test_probe import planted
from training.rlhf.probe import fit_probe
from training.rlhf.uncertainty import Spread, posterior

RIDGE = 0.7


def spread_of(features, rankings, columns=None, freedom=None, center=None) -> Spread:
    width = features.shape[1]
    return posterior(
        features,
        rankings,
        range(width) if columns is None else columns,
        ridge=RIDGE,
        freedom=torch.ones(width) if freedom is None else freedom,
        center=torch.zeros(width) if center is None else center,
    )


def whole_covariance(x, rankings, free):
    """Σ = σ² (XᵀWX + N λ D⁻²)⁻¹ over the features as they are, and σ²; K = 4, weights 1."""
    rows = np.concatenate([x[own] - x[own].mean(0) for own in rankings.rows])
    targets = np.concatenate(
        [[(sum(b > a for b in r) - sum(b < a for b in r)) / 4 for a in r] for r in rankings.ranks]
    )
    weight, n = 2 / 3, len(rows)
    prior = free / np.sqrt((rows**2).mean(0))
    precision = weight * rows.T @ rows + weight * n * RIDGE * np.diag(prior**-2)
    fitted = np.linalg.solve(precision, weight * rows.T @ targets)
    used = np.trace(np.linalg.solve(precision, weight * rows.T @ rows))
    noise = weight * ((targets - rows @ fitted) ** 2).sum() / (3 * len(rankings) - used)
    return noise * np.linalg.inv(precision)


@pytest.mark.parametrize(("prompts", "features"), [(30, 6), (5, 40)])
def test_it_is_the_posterior_of_bayesian_regression(prompts, features):
    """With more rows than features, and with fewer: then most directions have the prior's."""
    x, rankings, _ = planted(prompts=prompts, features=features, noise=0.5)
    free = np.linspace(0.5, 3.0, features)
    covariance = whole_covariance(x.numpy(), rankings, free)
    spread = spread_of(x, rankings, freedom=torch.tensor(free))
    new = np.random.default_rng(9).normal(size=(20, features))
    expected = np.sqrt(np.einsum("ni,ij,nj->n", new, covariance, new))
    assert spread.of(torch.tensor(new)).numpy() == pytest.approx(expected, rel=2e-3)


def test_more_rankings_of_the_same_kind_leave_less_of_it():
    few, some, _ = planted(prompts=10, features=6, noise=0.5)
    many, all_, _ = planted(prompts=200, features=6, noise=0.5)
    new = torch.tensor(np.random.default_rng(1).normal(size=(50, 6)))
    assert (spread_of(many, all_).of(new) < 0.5 * spread_of(few, some).of(new)).all()


def test_it_grows_with_the_distance_to_what_was_ranked():
    x, rankings, _ = planted(prompts=30, features=6, noise=0.5)
    direction = torch.ones(1, 6, dtype=torch.float64)
    near, far = spread_of(x, rankings).of(torch.cat([direction, 7 * direction]))
    assert float(far) == pytest.approx(7 * float(near), rel=1e-5)


def test_the_center_is_certain():
    x, rankings, _ = planted(prompts=30, features=6, noise=0.5)
    center = x.mean(0)
    spread = spread_of(x, rankings, center=center)
    assert float(spread.of(center.unsqueeze(0))) == pytest.approx(0, abs=1e-6)
    moved = spread_of(x, rankings).of(x - center)
    assert spread.of(x).numpy() == pytest.approx(moved.numpy(), rel=1e-3, abs=1e-5)


def test_a_feature_that_never_varied_is_known_to_nobody():
    x, rankings, _ = planted(prompts=30, features=6, noise=0.5)
    x[:, 5] = 1.0
    spread = spread_of(x, rankings)
    usual = torch.zeros(1, 6, dtype=torch.float64)
    unseen = usual.clone()
    unseen[0, 5] = 1.0
    assert float(spread.of(usual)) == 0
    assert float(spread.of(unseen)) == pytest.approx(float(spread.prior[5]), rel=1e-6)
    assert float(spread.prior[5]) > 0


def test_features_that_the_fit_does_not_use_do_not_count():
    x, rankings, _ = planted(prompts=30, features=6, noise=0.5)
    spread = spread_of(x, rankings, columns=[0, 2])
    other = torch.zeros(1, 6, dtype=torch.float64)
    other[0, 1] = 100.0
    assert float(spread.of(other)) == 0


def test_it_covers_how_far_the_fit_is_from_the_truth():
    """Over fits to noisy rankings by one planted score, one standard deviation covers about .68."""
    inside = []
    for seed in range(20):
        x, rankings, gold = planted(prompts=40, features=6, noise=0.8, seed=seed)
        probe = fit_probe(x, rankings, {"all": range(6)}, folds=4, seed=0, ridges=[0.03])
        scale = float(probe.weight @ torch.tensor(_truth(seed)))
        off = (x @ probe.weight - scale * gold).abs()
        spread = posterior(
            x, rankings, range(6), ridge=0.03, freedom=torch.ones(6), center=torch.zeros(6)
        )
        inside.append(float((off < spread.of(x)).double().mean()))
    assert 0.6 < np.mean(inside) < 0.85, "one of six directions is right by the scale"


def _truth(seed: int) -> np.ndarray:
    """The planted weights of unit length, as `planted` draws them."""
    random = np.random.default_rng(seed)
    random.normal(size=(160, 6))
    weight = np.zeros(6)
    weight[:5] = random.normal(size=5)
    return weight / np.linalg.norm(weight)


def test_labels_of_half_the_weight_teach_less():
    x, rankings, _ = planted(prompts=30, features=6, noise=0.5)
    new = torch.tensor(np.random.default_rng(1).normal(size=(50, 6)))
    some = replace(rankings, weights=[1.0] * 15 + [1e-9] * 15)
    assert (spread_of(x, some).of(new) > spread_of(x, rankings).of(new)).all()


def test_larger_scores_are_as_much_less_sure():
    x, rankings, _ = planted(prompts=30, features=6, noise=0.5)
    spread = spread_of(x, rankings)
    assert spread.scaled(3).of(x).numpy() == pytest.approx(3 * spread.of(x).numpy(), rel=1e-5)
