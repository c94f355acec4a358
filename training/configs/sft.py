"""What supervised fine-tuning is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from training.configs.base import Problems, RunConfig

Mixture = Literal["proportional", "temperature", "shares"]
Pick = Literal["auto", "reward", "validation_loss", "last"]


@dataclass(frozen=True, kw_only=True)
class SftConfig(RunConfig):
    """Supervised fine-tuning on demonstrations. The result is a whole model: the new base."""

    recipe: ClassVar[str] = "sft"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "paper": {"epochs": 16, "learning_rate": 9.65e-6, "batch": 32, "lora_rank": 0},
    }

    reward: str | None = None
    """Folder of a reward model of the same base; it may pick the checkpoint."""
    epochs: int = 3
    batch: int = 8
    """Demonstrations a step; they are packed into rows without seeing each other."""
    turns: Literal["last", "all"] = "last"
    """Of a conversation the demonstrated answer alone is learned, or every answer within it."""
    mixture: Mixture = "proportional"
    """How much of each task (category) an epoch holds: each demonstration once; flattened by a
    temperature; or set shares."""
    mixture_temperature: float = 2.0
    """A task of n demonstrations has a share in proportion to n^(1/T)."""
    mixture_shares: list[str] = field(default_factory=list)
    """Set shares, such as qa=0.3, chat=0.7; a task that is not named has none."""
    learning_rate: float = 3e-4
    """Peak; cosine decay to a tenth of it (InstructGPT, appendix C.1)."""
    warmup_share: float = 0.03
    max_tokens: int = 512
    """Of a prompt, which else loses its oldest messages, and of a completion."""
    lora_rank: int = 16
    """0: full fine-tuning."""
    lora_scale: float = 2.0
    lora_top_share: float = 1.0
    validation_share: float = 0.1
    pick: Pick = "auto"
    """Which epoch's weights are the result: best by the reward model's score, as InstructGPT does,
    or by the loss of what was kept back, or the last. auto: the first of these that can be."""
    gradient_clip: float = 1.0
    save_every: int = 20
    """Steps between training states."""

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.one_of(self, "turns", ("last", "all"))
        problems.one_of(self, "mixture", get_args(Mixture))
        problems.one_of(self, "pick", get_args(Pick))
        problems.unless(
            self.pick != "reward" or bool(self.reward),
            "pick: reward needs a reward model of this base; or use auto",
        )
        problems.unless(
            self.pick != "validation_loss" or self.validation_share > 0,
            "pick: validation_loss needs a validation_share above 0",
        )
        self._check_shares(problems)

    def _check_shares(self, problems: Problems) -> None:
        try:
            named = self.named_shares()
        except ValueError as error:
            problems.unless(False, f"mixture_shares: {error}")
            return
        problems.unless(
            all(0 <= share < float("inf") for share in named.values()),
            "mixture_shares: each share must be 0 or more",
        )
        problems.unless(
            self.mixture != "shares" or sum(named.values()) > 0,
            "mixture_shares: must name a share above 0, such as qa=0.3",
        )

    def named_shares(self) -> dict[str, float]:
        """The set shares by task, as they were typed. Raises ValueError, naming what is none."""
        found: dict[str, float] = {}
        for entry in self.mixture_shares:
            task, separator, share = entry.rpartition("=")
            try:
                found[task.strip()] = float(share)
            except ValueError:
                separator = ""
            if not separator:
                raise ValueError(f"must be entries such as qa=0.3, is {entry!r}")
        return found
