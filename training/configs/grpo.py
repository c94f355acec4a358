"""What group-relative policy optimisation is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from training.configs.base import Problems
from training.configs.rewarded import OnlineConfig

Baseline = Literal["group", "leave_one_out"]
Scale = Literal["group", "batch", "none"]
AverageOver = Literal["completions", "tokens", "limit"]
KlIn = Literal["reward", "loss"]


@dataclass(frozen=True, kw_only=True)
class GrpoConfig(OnlineConfig):
    """PPO without a critic: a completion is measured against the others of its prompt.

    GRPO: DeepSeekMath (arXiv 2402.03300), section 4.1. RLOO: arXiv 2402.14740.
    Dr. GRPO: arXiv 2503.20783, section 3: scale none, average_over limit.
    """

    recipe: ClassVar[str] = "grpo"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "paper": {  # arXiv 2402.03300, section 4.2: one pass over 144,000 questions
            "episodes": 144_000 * 64,
            "prompts_per_batch": 16,
            "samples_per_prompt": 64,
            "epochs": 1,
            "minibatches": 1,
            "learning_rate": 1e-6,
            "kl_in": "loss",
            "kl_coefficient": 0.04,
            "kl_target": None,
            "kl_step": None,
            "max_new_tokens": 1024,
            "missing_eos_penalty": 0.0,
            "lora_rank": 0,
            "lora_top_share": 1.0,
            "ema": None,
        },
    }

    baseline: Baseline = "group"
    """What is taken off a reward: the mean of its prompt's samples (group, arXiv 2402.03300), or of
    the others only (leave_one_out, arXiv 2402.14740), which is unbiased."""
    scale: Scale = "group"
    """What it is then divided by: its prompt's standard deviation (group, arXiv 2402.03300), which
    gives easy and hard prompts the same weight; the batch's; or nothing (arXiv 2503.20783)."""
    average_over: AverageOver = "completions"
    """What the loss is a mean over. completions: each one's mean over its own tokens
    (arXiv 2402.03300), so that a long one's tokens count less. tokens: all of the minibatch, as in
    ppo (arXiv 2503.14476). limit: a completion's sum over max_new_tokens, whatever its length: no
    length bias (arXiv 2503.20783)."""
    kl_in: KlIn = "reward"
    """Where the penalty stands: in the reward by k1, as in ppo, or in the loss by k3 as in
    arXiv 2402.03300, equation 4."""

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.one_of(self, "baseline", get_args(Baseline))
        problems.one_of(self, "scale", get_args(Scale))
        problems.one_of(self, "average_over", get_args(AverageOver))
        problems.one_of(self, "kl_in", get_args(KlIn))
        problems.unless(
            self.samples_per_prompt >= 2,
            "samples_per_prompt: a completion is measured against others of its prompt; 2 or more",
        )
