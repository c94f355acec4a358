"""What every recipe that learns from its own samples, scored by a reward model, is told.

Beside them each has its own numbers: see `ppo`, `grpo` and `rejection`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from training.configs.base import Problems
from training.configs.policy import PolicyConfig

ClipOver = Literal["tokens", "completions"]


@dataclass(frozen=True, kw_only=True)
class RewardedConfig(PolicyConfig):
    """Samples of the policy, and what a reward model says of them."""

    reward: str = ""
    """Folder of the reward model's checkpoint."""
    episodes: int = 1024
    """Completions that the policy writes, altogether."""
    prompts_per_batch: int = 16
    samples_per_prompt: int = 4
    caution: float = 0.0
    """How many standard deviations of what the reward model is unsure by are taken off its score:
    what is unlike all that was ranked has to be better by that much. Above 0 it needs a reward
    model with a probe."""
    missing_eos: Literal["subtract", "replace"] = "subtract"
    missing_eos_penalty: float = 1.0
    missing_eos_min_share: float = 0.8
    """Below this share of the base's samples that end by themselves there is no penalty."""

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.unless(bool(self.reward), "reward: must name a reward model's checkpoint folder")
        problems.one_of(self, "missing_eos", ("subtract", "replace"))

    def batches(self) -> int:
        """How many batches the episodes make; the last one is as full as the others."""
        return -(-self.episodes // self.episodes_per_batch())

    def episodes_per_batch(self) -> int:
        """Completions of a batch."""
        return self.prompts_per_batch * self.samples_per_prompt


@dataclass(frozen=True, kw_only=True)
class OnlineConfig(RewardedConfig):
    """Batch by batch: sample, score, learn, with a KL penalty to the base."""

    epochs: int = 2
    minibatches: int = 2
    warmup_steps: int = 0
    """Steps over which the learning rate rises from a tenth of its peak."""
    anneal: bool = False
    """Whether the learning rate falls in a straight line, to nothing at the run's end; else it
    stays, as in InstructGPT."""
    clip: float = 0.2
    clip_over: ClipOver = "tokens"
    """What is clipped: each token's ratio to the policy that sampled, as in the paper, or a whole
    completion's, the geometric mean of its tokens' (completions, arXiv 2507.18071)."""
    update_kl_limit: float | None = None
    """An update ends before the step at which the policy is more than this many nats a token from
    the one that sampled, by the k3 estimate: .02 is usual. None: all epochs are taken."""
    entropy_coefficient: float = 0.0
    """What a nat of each token's entropy is worth beside its advantage (arXiv 1707.06347, eq. 9).
    0, as in InstructGPT: the KL to the base keeps the policy from narrowing."""
    kl_coefficient: float = 0.1
    """β at the start, on the normalised reward's scale, per nat."""
    kl_target: float | None = 8.0
    """Nats a completion that the controller holds, before averaging; None: β is fixed."""
    kl_step: float | None = 5.0
    """The target is at most this many nats beyond the policy that the run starts from: the reward
    model has seen no text further out. None: the target alone counts. Without a target: unused."""

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.one_of(self, "clip_over", get_args(ClipOver))
        problems.unless(
            self.minibatches > 0 and self.episodes_per_batch() % self.minibatches == 0,
            "minibatches: must divide prompts_per_batch × samples_per_prompt",
        )
