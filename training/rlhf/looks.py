"""A look at a policy: its samples on prompts that it is not trained on, beside the base's.

Used along a PPO run and by the evaluation. Knows nothing of gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.rlhf.bootstrap import wins
from training.rlhf.models import LanguageModel
from training.rlhf.process import Control
from training.rlhf.randomness import Key, uniforms
from training.rlhf.reward_model import RewardModel
from training.rlhf.rollouts import Episodes, collect
from training.rlhf.texts import distinct

SHOWN = 3
"""Texts that a look, an evaluation or a fine-tuned model gives people to read."""


@dataclass(frozen=True)
class Drawing:
    """How samples are drawn; the same drawing and keys give the same samples."""

    seed: int
    samples: int
    max_new_tokens: int
    temperature: float
    batch: int = 64
    """Completions at a time."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of a policy, `samples` of each prompt next to each other: n altogether."""

    texts: list[str]
    finished: Tensor
    """(n,) bool."""
    scores: Tensor
    """(models, n) float32."""
    kl: Tensor
    """(n,) nats of each completion, to the reference."""
    lengths: Tensor
    """(n,) tokens."""
    entropy: float
    """Mean over all tokens, nats."""

    @property
    def finished_share(self) -> float:
        """Share of the completions that ended by themselves."""
        return float(self.finished.float().mean())

    @property
    def length(self) -> float:
        """Mean tokens of a completion."""
        return float(self.lengths.float().mean())

    @property
    def distinct2(self) -> float:
        """Share of different pairs of words among all."""
        return distinct(self.texts)


def draw_samples(
    policy: LanguageModel,
    reference: LanguageModel,
    prompts: Sequence[Sequence[int]],
    keys: Sequence[Key],
    *,
    models: Sequence[RewardModel],
    drawing: Drawing,
    step: int,
    control: Control,
) -> Samples:
    """Sample every prompt (token ids). keys: one for each prompt; step: keys the random numbers."""
    size = max(1, drawing.batch // drawing.samples)
    parts: list[Episodes] = []
    for start in range(0, len(prompts), size):
        chosen = slice(start, start + size)
        numbers = uniforms(
            drawing.seed, step, keys[chosen], drawing.samples, drawing.max_new_tokens
        )
        parts.append(
            collect(
                policy,
                reference,
                prompts[chosen],
                models=models,
                samples=drawing.samples,
                max_new_tokens=drawing.max_new_tokens,
                temperature=drawing.temperature,
                uniforms=numbers,
                control=control,
            )
        )
    lengths = torch.cat([part.lengths for part in parts]).cpu()
    entropy = sum(float(part.entropy.sum()) for part in parts) / max(1, int(lengths.sum()))
    return Samples(
        texts=[text for part in parts for text in part.texts],
        finished=torch.cat([part.finished for part in parts]).cpu(),
        scores=torch.cat([part.scores for part in parts], dim=1),
        kl=torch.cat([part.kl.sum(1) for part in parts]).cpu(),
        lengths=lengths,
        entropy=entropy,
    )


def against(ours: Tensor, theirs: Tensor, judge: RewardModel) -> tuple[Tensor, Tensor]:
    """Of each prompt the share of comparisons won (ties one half), and how sure the judge is of it.

    ours: (prompts,) the judge's scores of one sample each. theirs: (prompts, samples). Both
    (prompts,): hard wins, and the mean probability that a labeler prefers ours.
    """
    spread = ours.unsqueeze(1).expand_as(theirs)
    won = torch.from_numpy(wins(spread.numpy(), theirs.numpy())).mean(1)
    return won, judge.preference(spread, theirs).double().mean(1)
