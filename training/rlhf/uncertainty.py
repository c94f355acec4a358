"""How unsure a ridge fit is of what it says of a row: its posterior standard deviation, exactly.

Ridge regression is Bayes' rule with Gaussian noise and a Gaussian prior on the weights, so that
besides the weights it knows their covariance (Bishop 2006, section 3.3). A row that is like those
that were ranked has little of it, one that points where nothing was ranked has the prior's.
Features in, numbers out; knows nothing of language models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.rlhf.least_squares import Basis, normal_rows
from training.rlhf.rankings import Rankings


@dataclass(frozen=True, eq=False)
class Spread:
    """The posterior of a fit, as far as rows need it.

    A row x has the variance ‖u‖² − ‖u·known‖² with u = (x − center)·prior: the prior's, less what
    the rankings have taught.
    """

    center: Tensor
    """(f,) float32: whose score is certain, since only differences of scores mean anything."""
    prior: Tensor
    """(f,) float32: standard deviation of each weight before anything was ranked."""
    known: Tensor
    """(f, directions) float32."""

    def of(self, features: Tensor) -> Tensor:
        """Standard deviation of each row's score against `center`'s. (n, f) → (n,) float64."""
        u = (features.double() - self.center.double()) * self.prior.double()
        variance = (u**2).sum(1) - ((u @ self.known.double()) ** 2).sum(1)
        return variance.clamp(min=0).sqrt()

    def scaled(self, factor: float) -> Spread:
        """That of scores which are `factor` times as large."""
        return Spread(self.center, self.prior * abs(factor), self.known)

    def tensors(self) -> dict[str, Tensor]:
        """To be written beside the fit; `Spread(**…)` reads them."""
        return {"center": self.center, "prior": self.prior, "known": self.known}


def posterior(
    features: Tensor,
    rankings: Rankings,
    columns: Sequence[int],
    *,
    ridge: float,
    freedom: Tensor,
    center: Tensor,
) -> Spread:
    """The posterior of the fit that `fit_probe` makes on `columns` with λ = `ridge`.

    features: (rows, f). freedom: (f,) as there. center: (f,), for example the base's mean sample.

    The noise of a row is taken as σ²/w, w its weight in the fit, and σ² from the residuals: a
    ranking of K and label weight v has v(K − 1) degrees of freedom, and the fit uses some up. A
    feature that never varied within a ranking is measured in its own unit: nothing is known of it.
    """
    chosen = torch.tensor(list(columns))
    own = features[:, chosen].double()
    basis = Basis(own, rankings, freedom[chosen].double())
    fold = basis.fold(rankings)
    rows, weights, targets = normal_rows(basis.rows, rankings)
    total = max(1e-12, fold.weight)
    precision = fold.gram.clone()
    precision.diagonal().add_(total * ridge)
    covariance = torch.linalg.inv(precision)
    residuals = targets - rows @ (covariance @ fold.moment)
    used = float((fold.gram * covariance).sum())
    sizes = zip(rankings.weights, rankings.rows, strict=True)
    free = sum(weight * (len(own) - 1) for weight, own in sizes) - used
    noise = float((weights * residuals**2).sum()) / max(1.0, free)
    before = noise / (total * ridge)

    # The share of the prior's variance that is gone, in the basis' directions: 1 − Σ/prior.
    gone = torch.eye(len(precision), dtype=torch.float64) - covariance * noise / before
    values, vectors = torch.linalg.eigh((gone + gone.T) / 2)
    known = vectors * values.clamp(min=0).sqrt()
    if basis.rotation is not None:
        known = basis.rotation @ known
    spread = torch.zeros(features.shape[1], len(values), dtype=torch.float64)
    spread[chosen] = known
    prior = torch.zeros(features.shape[1], dtype=torch.float64)
    unit = torch.where(basis.scale > 0, basis.scale, freedom[chosen].double())
    prior[chosen] = unit * before**0.5
    return Spread(center.float(), prior.float(), spread.float())
