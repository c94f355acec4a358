"""What PPO is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from training.configs.base import Problems
from training.configs.rewarded import OnlineConfig

Advantage = Literal["rloo", "gae"]
Critic = Literal["ridge", "network"]


@dataclass(frozen=True, kw_only=True)
class PpoConfig(OnlineConfig):
    """PPO against a reward model, with a KL penalty to the base and optionally PPO-ptx."""

    recipe: ClassVar[str] = "ppo"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {},
        "paper": {
            "critic": "network",
            "gae_lambda": 0.95,
            "episodes": 256_000,
            "prompts_per_batch": 512,
            "samples_per_prompt": 1,
            "epochs": 1,
            "minibatches": 8,
            "learning_rate": 9e-6,
            "kl_coefficient": 0.02,
            "kl_target": None,
            "kl_step": None,
            "ptx_coefficient": 27.8,
            "ema": 0.992,
            "lora_rank": 0,
            "lora_top_share": 1.0,
            "warmup_steps": 10,
            "missing_eos": "replace",
            "missing_eos_min_share": 0.0,
            # Of 500 batches, with all weights in each state: not what the paper says, but what a
            # disk can hold and a judge can read.
            "evaluate_every": 12_800,
            "save_every": 25,
        },
    }

    advantage: Advantage = "gae"
    """Per token from a critic (gae), or a whole completion's against the prompt's others (rloo)."""
    critic: Critic = "ridge"
    """For gae: a regression of the returns of the batches so far on a few plain numbers, or a
    network that starts from the reward model and learns along with the policy, as in the paper."""
    value_clip: float = 0.2
    value_coefficient: float = 0.1
    gamma: float = 1.0
    gae_lambda: float = 0.6
    ptx_coefficient: float = 0.0
    ptx_texts_per_episode: float = 8.0

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.one_of(self, "advantage", get_args(Advantage))
        problems.one_of(self, "critic", get_args(Critic))
        problems.unless(
            self.advantage == "gae" or self.samples_per_prompt >= 2,
            "samples_per_prompt: leave-one-out advantages (rloo) need at least 2",
        )
