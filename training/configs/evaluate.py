"""What an evaluation is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from training.configs.base import Problems, RunConfig


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(RunConfig):
    """One sample per evaluation prompt from candidate, deployed and base, compared by the judge."""

    recipe: ClassVar[str] = "evaluate"

    judge: str | None = None
    reward: str | None = None
    """Best-of-n by this reward model against the base under the judge; None: not measured."""
    candidate: str | None = None
    """Adapter folder; None: the base itself."""
    deployed: str | None = None
    """Adapter folder, or a whole model's; None: the base is what is deployed."""
    deployed_base: str | None = None
    """Where the deployed adapter belongs to another base (before an SFT): that; None: the base."""
    best_of: int = 0
    """0: compare policies. Above: only compare best-of-n of the base with the base (before PPO)."""
    prompts: int = 200
    max_new_tokens: int = 40
    temperature: float = 1.0
    max_prompt_tokens: int = 1024
    look: int = 1
    """The k-th look of a project at a policy uses α = alpha / (k (k + 1))."""
    alpha: float = 0.05
    bootstrap: int = 2000
    batch: int = 64

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.unless(
            self.best_of == 0 or (bool(self.reward) and bool(self.judge)),
            "best_of: needs both a reward model and a judge",
        )
