"""What every recipe that trains a policy is told: where it starts, how it is looked at, its limits.

Beside them each has its own numbers: see `rewarded` and `dpo`.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.configs.base import RunConfig


@dataclass(frozen=True, kw_only=True)
class PolicyConfig(RunConfig):
    """A policy, its looks along the run, and which of them may become the run's result."""

    judge: str | None = None
    """Folder of the judge's checkpoint; it picks the checkpoint along the run."""
    adapter: str | None = None
    """Folder of the policy to start from; None: the base. The KL reference is always the base."""
    lora_rank: int = 16
    """0: full fine-tuning."""
    lora_scale: float = 2.0
    lora_top_share: float = 1 / 3
    learning_rate: float = 6e-4
    adam_beta2: float = 0.95
    adam_epsilon: float = 1e-5
    gradient_clip: float = 1.0
    max_new_tokens: int = 40
    temperature: float = 1.0
    max_prompt_tokens: int = 512
    ema: float | None = 0.7
    """Decay of the averaged weights, per batch, which are what a run results in; None: the last."""
    evaluate_every: int = 256
    """Episodes (of dpo: prompts, of rejection: winners) between looks by the judge on development
    prompts."""
    development_samples: int = 64
    kl_limit: float = 10.0
    """No checkpoint above this many nats a completion is picked."""
    distinct_share: float = 0.85
    """No checkpoint is picked that would have less than this share of the base's distinct-2 in an
    evaluation; a look, with fewer texts, holds it to a stricter one."""
    save_every: int = 1
    """Batches between training states."""
