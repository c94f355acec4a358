"""What direct preference optimisation is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from training.configs.base import Problems
from training.configs.policy import PolicyConfig

DirectLoss = Literal["dpo", "ipo", "plackett_luce"]


@dataclass(frozen=True, kw_only=True)
class DpoConfig(PolicyConfig):
    """A policy straight from rankings: no reward model, no sampling but for the looks."""

    recipe: ClassVar[str] = "dpo"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"learning_rate": 3e-4},
        "paper": {  # arXiv 2305.18290, appendix B
            "epochs": 1,
            "batch": 64,
            "learning_rate": 1e-6,
            "warmup_steps": 150,
            "lora_rank": 0,
            "lora_top_share": 1.0,
            "ema": None,
        },
    }

    loss: DirectLoss = "dpo"
    """All untied pairs of a ranking by the logistic loss (dpo) or by the squared one (ipo), or the
    ranking as a whole by the likelihood of its order (plackett_luce)."""
    beta: float = 0.1
    """Nats of implicit reward for a nat of log π/π_ref; of ipo: τ."""
    label_smoothing: float = 0.0
    """The chance that labelers ordered a pair the wrong way round, which the logistic loss reckons
    with (dpo)."""
    epochs: int = 2
    batch: int = 8
    """Prompts a step; all rankings of one prompt are in one batch element."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from a tenth of its peak."""
    max_tokens: int = 1024
    """Of a completion, and of its prompt."""

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.one_of(self, "loss", get_args(DirectLoss))
        problems.unless(
            not self.label_smoothing or self.loss == "dpo",
            f"label_smoothing: only with loss = dpo, is {self.label_smoothing}",
        )
