"""The forward pass, in pieces: prompts computed once, each with any number of completions.

A completion's tokens attend to their prompt's and to their own, so K completions of one prompt cost
one prompt. Layers can be run from any one to any other, so what lies below a LoRA adapter is
computed once and used again. Numbers don't depend on padding but for rounding.
Knows nothing of sampling or losses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from training.rlhf.blocks import Heads, finish_layer, read_heads, rms_norm
from training.rlhf.models import LanguageModel


@dataclass(frozen=True, eq=False)
class Batch:
    """p prompts of at most q tokens, n completions of at most t tokens."""

    prompt_ids: Tensor
    """[p, q] int64, padded on the left."""
    prompt_mask: Tensor
    """[p, q] bool, False for padding."""
    owner: Tensor
    """[n] int64: the prompt of each completion."""
    ids: Tensor
    """[n, t] int64, padded on the right."""
    mask: Tensor
    """[n, t] bool: true up to and including the first EOS."""

    def select(self, rows: Tensor) -> Batch:
        """The completions `rows` ([m] int64) with all prompts: a minibatch."""
        return Batch(
            self.prompt_ids, self.prompt_mask, self.owner[rows], self.ids[rows], self.mask[rows]
        )


class Hidden(NamedTuple):
    """The residual stream after some layer, float32: prompt [p, q, d], completion [n, t, d]."""

    prompt: Tensor
    completion: Tensor

    def select(self, rows: Tensor) -> Hidden:
        """The completions `rows` with all prompts, as Batch.select."""
        return Hidden(self.prompt, self.completion[rows])


class Logprobs(NamedTuple):
    """log π of given tokens and the entropy of the distribution each was drawn from, in nats."""

    logprobs: Tensor
    entropy: Tensor


def make_batch(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    owner: Sequence[int],
) -> Batch:
    """Pad token ids into a Batch on the model's device. owner[i]: the prompt of completion i.

    A prompt must have at least one token; a completion may have none.
    """
    raise NotImplementedError


def embed(lm: LanguageModel, batch: Batch) -> Hidden:
    """The embeddings: the residual stream after 0 layers."""
    raise NotImplementedError


def run_layers(lm: LanguageModel, batch: Batch, hidden: Hidden, first: int, last: int) -> Hidden:
    """From the residual stream after `first` layers to that after `last` layers."""
    raise NotImplementedError


def hidden_states(lm: LanguageModel, batch: Batch, layers: Collection[int]) -> dict[int, Hidden]:
    """The residual stream after each of `layers` (0: embeddings); runs no further than the last."""
    raise NotImplementedError


def predicting(hidden: Hidden, batch: Batch) -> Tensor:
    """[n, t, d]: for each completion token the state that predicts it, one position earlier."""
    raise NotImplementedError


def token_logprobs(
    lm: LanguageModel, states: Tensor, targets: Tensor, temperature: float = 1.0
) -> Logprobs:
    """states: [m, d], the residual stream after the last layer; targets: [m] int64 → two of [m].

    The entropy carries no gradient.
    """
    raise NotImplementedError


def completion_logprobs(
    lm: LanguageModel, batch: Batch, hidden: Hidden, temperature: float = 1.0
) -> Logprobs:
    """From the residual stream after the last layer to two of [n, t], 0 where the mask is False."""
    raise NotImplementedError
