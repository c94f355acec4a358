"""What the training of a reward model or a judge is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from training.configs.base import Problems, RunConfig

Finetune = Literal["never", "if_better", "always"]


@dataclass(frozen=True, kw_only=True)
class RewardConfig(RunConfig):
    """A reward model from rankings (InstructGPT, eq. 1): a ridge probe, then perhaps tuning."""

    recipe: ClassVar[str] = "reward"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "paper": {
            "finetune": "always",
            "lora_rank": 0,
            "epochs": 1,
            "learning_rate": 9e-6,
            "batch": 64,
            "probe_layers": [],
        },
    }

    role: Literal["reward", "judge"] = "reward"
    """A judge is fitted on the judge prompts' rankings and never gives a reward."""
    base_source: str | None = None
    """`source` of the base's completions, whose scores get mean 0 and variance 1; None: all."""
    probe_layers: list[float] = field(default_factory=lambda: [2 / 30, 10 / 30, 20 / 30])
    """Depths (shares of all layers) whose mean over the completion's tokens the probe sees."""
    folds: int = 5
    """Out-of-fold accuracy; folds are over prompts."""
    grade_margin: float = 0.0
    """How much further a completion's score shall lie above a lower ranked one's for each step
    (of 1 to 7) that it was graded above it, where the order alone asks a probe for 1. 0: grades
    don't matter."""
    finetune: Finetune = "if_better"
    """if_better: kept only where its held-out log loss is lower than the probe's."""
    epochs: int = 1
    batch: int = 8
    """Prompts per step; all pairs of one prompt are one batch element."""
    label_smoothing: float = 0.0
    """The chance that labelers ordered a pair the wrong way round, which fine-tuning reckons
    with."""
    learning_rate: float = 3e-4
    lora_rank: int = 16
    lora_scale: float = 2.0
    lora_top_share: float = 1 / 3
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    max_tokens: int = 1024
    save_every: int = 10
    bootstrap: int = 1000

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.one_of(self, "role", ("reward", "judge"))
        problems.one_of(self, "finetune", get_args(Finetune))
        problems.unless(
            all(0 < depth <= 1 for depth in self.probe_layers),
            f"probe_layers: shares of the depth, above 0 and up to 1, are {self.probe_layers}",
        )
        problems.unless(
            bool(self.probe_layers) or self.finetune == "always",
            "probe_layers: empty only where finetune is always",
        )
        problems.unless(
            not self.label_smoothing or self.finetune != "never",
            f"label_smoothing: only where there is fine-tuning, is {self.label_smoothing}",
        )
