"""PPO's critic in closed form: ridge regression of the returns of the batches so far.

A network that learns along with the policy knows nothing in a run of a dozen batches. What decides
a return is mostly plain to see before each token: what the reward model says of the text so far,
how many words it has, how much room is left, and how the prompt's other samples did. A line through
those few numbers is fitted exactly, from the first batch on (docs/experiments.md). Knows nothing of
how advantages are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from training.rlhf.advantages import leave_one_out
from training.rlhf.features import visible_so_far
from training.rlhf.layers import Batch
from training.rlhf.spelling import Spelling

DECAY = 0.8
"""Of what earlier batches count, per batch: the policy that they were sampled from is gone."""
RIDGE = 0.01
"""Penalty on a weight, relative to its feature's mean square, so that units don't matter."""
LEAST = 1e-4
"""Added to it: a feature that never varied gets no weight."""
STEPS = 6
"""Of the position within the longest completion: a level of its own for each part."""


@dataclass
class Sums:
    """Σ x xᵀ (f, f), Σ x y (f,) over tokens, float64, and how many they are."""

    gram: Tensor
    moment: Tensor
    tokens: float

    def __add__(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(self.gram + other.gram, self.moment + other.moment, self.tokens + other.tokens)

    def faded(self, share: float) -> Sums:
        """Counting for `share` of what they did."""
        return Sums(self.gram * share, self.moment * share, self.tokens * share)

    def weights(self) -> Tensor:
        """(f,) of the ridge fit."""
        count = max(self.tokens, 1.0)
        gram = self.gram / count
        penalty = RIDGE * gram.diagonal() + LEAST
        solved: Tensor = torch.linalg.solve(gram + torch.diag(penalty), self.moment / count)
        return solved


class RidgeCritic:
    """Values before each token; each is fitted without the returns of its own prompt."""

    def __init__(self, spelling: Spelling, *, samples: int, longest: int) -> None:
        """samples: of a prompt, in rows that follow each other. longest: tokens of a completion."""
        self.spelling, self.samples, self.longest = spelling, samples, longest
        self.past: Sums | None = None

    def values(self, batch: Batch, so_far: Tensor, returns: Tensor) -> Tensor:
        """What is still to come before each token, and learn from this batch for the next ones.

        so_far: (n, t) the reward model's score of the text before each token. returns: (n, t) what
        came from there on. (n, t) in units of the score, 0 where the mask is False. The prompts
        are halved, and each half's values come from the other half and from earlier batches.
        """
        mask = batch.mask.cpu()
        seen = self._features(batch, so_far.cpu(), returns[:, 0].cpu())
        target = returns.cpu().double()
        rows = torch.arange(len(mask))
        halves = [mask & (rows // self.samples % 2 == half)[:, None] for half in (0, 1)]
        sums = [_sums(seen[half], target[half]) for half in halves]
        values = torch.zeros_like(target)
        for own, other in zip(halves, reversed(sums), strict=True):
            known = other if self.past is None else self.past + other
            values[own] = seen[own] @ known.weights()
        both = sums[0] + sums[1]
        self.past = both if self.past is None else self.past.faded(DECAY) + both
        return values.to(returns)

    def _features(self, batch: Batch, so_far: Tensor, whole: Tensor) -> Tensor:
        """(n, t, f) float64. whole: (n,) each completion's return."""
        n, t = batch.ids.shape
        place = (torch.arange(t) / self.longest).expand(n, t)[..., None]
        parts = torch.arange(1, STEPS) / STEPS
        others = _others(whole, self.samples)[:, None, None].expand(n, t, 1)
        score = so_far[..., None]
        visible = visible_so_far(batch, self.spelling)[:, :-1].cpu()
        features = [
            *(torch.ones(n, t, 1), place, (place >= parts).float()),
            *(others, others * place),
            *(score, score * place, score * place**2),
            *(visible, visible * place),
        ]
        return torch.cat(features, dim=-1).double()

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """What a training state has to hold."""
        if self.past is None:
            return {}
        past = self.past
        return {
            f"{prefix}gram": past.gram,
            f"{prefix}moment": past.moment,
            f"{prefix}tokens": torch.tensor(past.tokens, dtype=torch.float64),
        }

    def load(self, tensors: Mapping[str, Tensor], prefix: str) -> None:
        """Go on from a training state."""
        if f"{prefix}gram" in tensors:
            gram, moment, tokens = (tensors[prefix + name] for name in ("gram", "moment", "tokens"))
            self.past = Sums(gram, moment, float(tokens))


def _sums(features: Tensor, targets: Tensor) -> Sums:
    """features: (tokens, f). targets: (tokens,)."""
    return Sums(features.T @ features, features.T @ targets, float(len(targets)))


def _others(whole: Tensor, samples: int) -> Tensor:
    """(n,) the mean return of each row's prompt without it; 0 where a prompt has one sample."""
    if samples < 2:
        return torch.zeros_like(whole)
    return whole - leave_one_out(whole.view(-1, samples)).reshape(-1)
