"""Texts made more likely: the gradients of a batch's likelihood loss, a few rows at a time.

What fine-tuning on demonstrations, on the best of n samples and PPO-ptx have in common. Knows
nothing of where the texts come from.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.rlhf.layers import Batch, completion_logprobs, hidden_states
from training.rlhf.losses import token_loss
from training.rlhf.models import LanguageModel
from training.rlhf.process import Control
from training.rlhf.rollouts import micro_batches, narrow


def add_gradients(
    lm: LanguageModel,
    batch: Batch,
    control: Control,
    *,
    weights: Tensor | None = None,
    coefficient: float = 1.0,
) -> float:
    """Add up the gradients of coefficient × the mean loss of a batch's completion tokens.

    weights: (n,) the labels' weights; None: all alike. Returns the loss in nats a token, without
    the coefficient. Raises Stopped between two micro-batches when control asks for it.
    """
    count = weighted_tokens(batch, weights)
    total = 0.0
    for rows in micro_batches(batch, torch.arange(len(batch.ids), device=batch.ids.device)):
        control.step_boundary()
        loss = rows_loss(lm, batch, rows, weights, count)
        (coefficient * loss).backward()  # type: ignore[no-untyped-call]  # torch types it so
        total += float(loss.detach())
    return total


def weighted_tokens(batch: Batch, weights: Tensor | None = None) -> float:
    """How many completion tokens there are, each counting as its row's weight."""
    tokens = batch.mask.sum(1)
    return float(tokens.sum() if weights is None else (tokens * weights).sum())


def rows_loss(
    lm: LanguageModel, batch: Batch, rows: Tensor, weights: Tensor | None, count: float
) -> Tensor:
    """The loss of `rows` ([m] int64) as a share of a batch with `count` weighted tokens."""
    part, _ = narrow(batch, None, rows)
    after = hidden_states(lm, part, [lm.layers])[lm.layers]
    logprobs = completion_logprobs(lm, part, after).logprobs
    own = None if weights is None else weights[rows]
    return token_loss(logprobs, part.mask, own, denominator=count)
