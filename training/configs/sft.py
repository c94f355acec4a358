"""What supervised fine-tuning is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from training.configs.base import Problems, RunConfig


@dataclass(frozen=True, kw_only=True)
class SftConfig(RunConfig):
    """Supervised fine-tuning on demonstrations. The result is a whole model: the new base."""

    recipe: ClassVar[str] = "sft"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "paper": {"epochs": 16, "learning_rate": 9.65e-6, "batch": 32, "lora_rank": 0},
    }

    epochs: int = 3
    batch: int = 8
    learning_rate: float = 3e-4
    """Peak; cosine decay to a tenth of it (InstructGPT, appendix C.1)."""
    warmup_share: float = 0.03
    max_tokens: int = 512
    lora_rank: int = 16
    """0: full fine-tuning."""
    lora_scale: float = 2.0
    lora_top_share: float = 1.0
    validation_share: float = 0.1
    gradient_clip: float = 1.0
    save_every: int = 20
    """Steps between training states."""

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.positive(self, "epochs", "batch", "learning_rate", "max_tokens", "save_every")
        problems.within(self, 0, 1, "warmup_share", "validation_share")
        problems.within(self, 0.01, 1, "lora_top_share")
        problems.unless(self.lora_rank >= 0, f"lora_rank: 0 or more, is {self.lora_rank}")
