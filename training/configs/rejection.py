"""What rejection sampling is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from training.configs.base import Problems
from training.configs.rewarded import RewardedConfig


@dataclass(frozen=True, kw_only=True)
class RejectionConfig(RewardedConfig):
    """The best of n samples by the reward model, then supervised fine-tuning on the winners.

    Llama 2 (arXiv 2307.09288), section 3.2.3; RAFT (arXiv 2304.06767).
    """

    recipe: ClassVar[str] = "rejection"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "paper": {  # 2,048 prompts × 32 samples (arXiv 2304.06767), then sft's paper preset
            "episodes": 2048 * 32,
            "samples_per_prompt": 32,
            "batch": 32,
            "learning_rate": 9.65e-6,
            "missing_eos_penalty": 0.0,
            "lora_rank": 0,
            "lora_top_share": 1.0,
            "ema": None,
        },
    }

    episodes: int = 2048
    """Completions that the policy writes, altogether; one in samples_per_prompt is learned from."""
    samples_per_prompt: int = 8
    """The n of best-of-n."""
    learning_rate: float = 3e-4
    """Peak; cosine decay to a tenth of it, as in sft."""
    epochs: int = 2
    """Passes over the winners."""
    batch: int = 8
    """Winners a step."""
    warmup_share: float = 0.03

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.unless(
            self.samples_per_prompt >= 2,
            "samples_per_prompt: the best is chosen among them; 2 or more",
        )
