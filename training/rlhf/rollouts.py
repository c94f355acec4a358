"""A batch of episodes: sampled, scored, and compared with the reference, ready to learn from.

Knows nothing of advantages or optimisers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.rlhf.decoding import Rollout, sample
from training.rlhf.layers import (
    Batch,
    Hidden,
    Logprobs,
    completion_logprobs,
    states_after,
)
from training.rlhf.losses import kl_k1
from training.rlhf.models import LanguageModel, decode
from training.rlhf.policies import shared_layers
from training.rlhf.process import Control
from training.rlhf.reward_model import RewardModel, Scored, kept_layers
from training.rlhf.room import at_once

MICRO_BATCH_TOKENS = 4096
"""Tokens of a forward and backward pass, prompts included, at most."""


@dataclass(frozen=True, eq=False)
class Episodes:
    """n sampled completions of at most t tokens with all that is known of them.

    Log-probabilities and KL in nats, (n, t), 0 where `batch.mask` is False.
    """

    batch: Batch
    start: Hidden | None
    """The residual stream below the first layer that learns; None where all of them do."""
    first: int
    """How many layers that is."""
    finished: Tensor
    """(n,) bool: ended by itself."""
    scores: Tensor
    """(models, n) float32: the reward models' scores, in their order."""
    spread: Tensor
    """(n,) float32: how unsure the first of them is; 0 where that is not known."""
    so_far: Tensor | None
    """(n, t) the first model's score of the text before each token; None where nobody asked."""
    sampler: Tensor
    """log π of each token as the sampler computed it."""
    old: Tensor
    """log π of each token from the training pass."""
    reference: Tensor
    """log π_ref of each token."""
    entropy: Tensor
    """Of the distribution that each token was drawn from."""
    texts: list[str]

    @property
    def scored(self) -> Scored:
        """What the first reward model says."""
        return Scored(self.scores[0], self.spread)

    @property
    def kl(self) -> Tensor:
        """log π − log π_ref of each token, (n, t)."""
        return kl_k1(self.old, self.reference, self.batch.mask)

    @property
    def lengths(self) -> Tensor:
        """(n,) tokens of each completion, its end included."""
        return self.batch.mask.sum(1)


def collect(
    policy: LanguageModel,
    reference: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    models: Collection[RewardModel],
    samples: int,
    max_new_tokens: int,
    temperature: float,
    uniforms: Tensor,
    control: Control,
    so_far: bool = False,
) -> Episodes:
    """Sample `samples` completions for each prompt and score them with every reward model.

    so_far: also what the first of them says before each token.
    """
    first = shared_layers(policy, reference)
    keep = sorted({*kept_layers(models, first), *([first] if first > 0 else [])})
    rollout = sample(
        policy,
        prompts,
        samples=samples,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        uniforms=uniforms,
        keep_layers=keep,
        control=control,
    )
    scored = [model.score_rollout(rollout) for model in models]
    before = next(iter(models)).scores_so_far(rollout) if so_far else None
    start = rollout.hidden.get(first)
    with torch.no_grad():
        old, ref = _two_passes(
            policy,
            reference,
            rollout,
            start=start,
            first=first,
            temperature=temperature,
            control=control,
        )
    rows = range(len(rollout.finished))
    return Episodes(
        batch=rollout.batch,
        start=start,
        first=first,
        finished=rollout.finished,
        scores=torch.stack([one.scores for one in scored]) if scored else torch.zeros(0, len(rows)),
        spread=scored[0].spread if scored else torch.zeros(len(rows)),
        so_far=before,
        sampler=rollout.logprobs,
        old=old.logprobs,
        reference=ref.logprobs,
        entropy=old.entropy,
        texts=[decode(policy, rollout.completion(row)) for row in rows],
    )


def _two_passes(
    policy: LanguageModel,
    reference: LanguageModel,
    rollout: Rollout,
    *,
    start: Hidden | None,
    first: int,
    temperature: float,
    control: Control,
) -> tuple[Logprobs, Logprobs]:
    """Log-probabilities of the sampled tokens under the policy and under its reference."""
    batch = rollout.batch
    old = Logprobs(*(torch.zeros_like(rollout.logprobs) for _ in range(2)))
    ref = Logprobs(*(torch.zeros_like(rollout.logprobs) for _ in range(2)))
    for rows in micro_batches(batch, torch.arange(len(batch.ids), device=batch.ids.device)):
        control.step_boundary()
        part, hidden = narrow(batch, start, rows)
        size = part.ids.shape[1]
        for lm, into in ((policy, old), (reference, ref)):
            if lm is reference and first == lm.layers:
                found = Logprobs(old.logprobs[rows, :size], old.entropy[rows, :size])
            else:
                found = logprobs_from(lm, part, hidden, first, temperature)
            into.logprobs[rows, :size] = found.logprobs
            into.entropy[rows, :size] = found.entropy
    return old, ref


def logprobs_from(
    lm: LanguageModel,
    batch: Batch,
    hidden: Hidden | None,
    first: int,
    temperature: float,
    *,
    learn_entropy: bool = False,
) -> Logprobs:
    """Log-probabilities of a batch's tokens, going on from the states after `first` layers."""
    after = states_after(lm, batch, hidden, first)
    return completion_logprobs(lm, batch, after, temperature, learn_entropy=learn_entropy)


def narrow(batch: Batch, hidden: Hidden | None, rows: Tensor) -> tuple[Batch, Hidden | None]:
    """The completions `rows` ([m] int64) with their own prompts only, and no needless padding.

    Completion tokens keep their columns: the first of them stand in (m, t') for some t' ≤ t.
    """
    prompts, owner = torch.unique(batch.owner[rows], return_inverse=True)
    q = int(batch.prompt_mask[prompts].sum(1).max())
    t = int(batch.mask[rows].sum(1).max())
    part = Batch(
        batch.prompt_ids[prompts, -q:],
        batch.prompt_mask[prompts, -q:],
        owner,
        batch.ids[rows, :t],
        batch.mask[rows, :t],
    )
    if hidden is None:
        return part, None
    return part, Hidden(hidden.prompt[prompts, -q:], hidden.completion[rows, :t])


def micro_batches(batch: Batch, rows: Tensor) -> Iterator[Tensor]:
    """`rows` in parts small enough for one forward and backward pass; the order stays."""
    tokens = batch.prompt_ids.shape[1] + batch.ids.shape[1]
    yield from torch.split(rows, max(1, at_once(MICRO_BATCH_TOKENS) // tokens))
