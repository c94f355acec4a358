"""PPO's value function, started from the reward model ([I], [S]; sources as in losses.py).

Before each token it says what score the completion will end with. It starts as the reward model
read on what there is so far; then it learns. Knows nothing of advantages.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.rlhf.layers import Batch, final_norm, hidden_states, predicting
from training.rlhf.models import LanguageModel, load_adapter, load_language_model, unfreeze
from training.rlhf.precision import Precision
from training.rlhf.reward_model import RewardModel


class Frozen(NamedTuple):
    """What a critic reads of a batch and never changes: the same in every epoch over it."""

    scores: Tensor
    """(n, t) what the probe says of each prefix, in units of the score."""
    states: Tensor
    """(n, t, d) the normalised state that predicts each token."""

    def of(self, rows: Tensor, size: int) -> Frozen:
        """Of the completions `rows`, their first `size` tokens."""
        return Frozen(self.scores[rows, :size], self.states[rows, :size])


class ValueFunction(nn.Module):
    """A reward model's scores at every prefix, and what is learned beside them.

    The probe's part stays as it is, read on the mean over the states so far; a correction, linear
    in the state that predicts the next token, starts at nothing. A fine-tuned reward model's part
    is a copy of that model, head and all, which learns.
    """

    def __init__(self, reward: RewardModel, folder: str) -> None:
        """folder: the reward model's checkpoint, for a copy of its own."""
        super().__init__()
        self.reward = reward
        self.layers = reward.layers
        self.width = reward.base.width
        device = reward.base.device
        self.correction = nn.Parameter(torch.zeros(self.width, device=device))
        self.offset = nn.Parameter(torch.zeros((), device=device))
        self.lm: LanguageModel | None = None
        if reward.head is not None:
            self.lm = _own_copy(reward, folder)
            self.head = nn.Parameter(reward.head.clone())

    def trainable(self) -> dict[str, nn.Parameter]:
        """Everything that learns, by name."""
        own = {"correction": self.correction, "offset": self.offset}
        if self.lm is None:
            return own
        return own | {"head": self.head, **{f"lm.{n}": p for n, p in self.lm.trainable().items()}}

    @torch.no_grad()
    def frozen(self, batch: Batch) -> Frozen:
        """Read a batch with the weights that never change."""
        wanted = self.layers or (self.reward.base.layers,)
        states = hidden_states(self.reward.base.with_adapter(None), batch, wanted)
        raw = self.reward.probe_so_far(states, batch)
        last = predicting(states[wanted[-1]], batch)
        return Frozen(
            (raw - self.reward.mean) / self.reward.std, F.layer_norm(last, last.shape[-1:])
        )

    def forward(self, batch: Batch, frozen: Frozen) -> Tensor:
        """Values before each token, (n, t) in units of the score, 0 where the mask is False.

        frozen: what `frozen` said of this batch, or of one that it is a part of.
        """
        scores, steady = frozen
        values = scores + steady @ self.correction / steady.shape[-1] ** 0.5 + self.offset
        if self.lm is not None:
            after = hidden_states(self.lm, batch, [self.lm.layers])[self.lm.layers]
            states_ahead = final_norm(self.lm, predicting(after, batch)).float()
            values = values + states_ahead @ self.head / self.reward.std
        masked: Tensor = values * batch.mask
        return masked


def _own_copy(reward: RewardModel, folder: str) -> LanguageModel:
    if reward.lm.adapter is not None:
        adapter = load_adapter(reward.base, folder)
        adapter.requires_grad_(True)
        return reward.base.with_adapter(adapter)
    precision: Precision = "bfloat16" if reward.base.dtype == torch.bfloat16 else "float32"
    own = load_language_model(folder, device=str(reward.base.device), precision=precision)
    unfreeze(own)
    return own
