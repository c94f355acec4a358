"""What PPO is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from training.configs.base import Problems
from training.configs.policy import PolicyConfig

Advantage = Literal["rloo", "gae"]
Critic = Literal["ridge", "network"]


@dataclass(frozen=True, kw_only=True)
class PpoConfig(PolicyConfig):
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
        },
    }

    reward: str = ""
    """Folder of the reward model's checkpoint."""
    advantage: Advantage = "gae"
    """Per token from a critic (gae), or a whole completion's against the prompt's others (rloo)."""
    critic: Critic = "ridge"
    """For gae: a regression of the returns of the batches so far on a few plain numbers, or a
    network that starts from the reward model and learns along with the policy, as in the paper."""
    episodes: int = 1024
    prompts_per_batch: int = 16
    samples_per_prompt: int = 4
    epochs: int = 2
    minibatches: int = 2
    warmup_steps: int = 0
    """Steps over which the learning rate rises from a tenth of its peak."""
    clip: float = 0.2
    value_clip: float = 0.2
    value_coefficient: float = 0.1
    gamma: float = 1.0
    gae_lambda: float = 0.6
    kl_coefficient: float = 0.1
    """β at the start, on the normalised reward's scale, per nat."""
    kl_target: float | None = 8.0
    """Nats a completion that the controller holds, before averaging; None: β is fixed."""
    kl_step: float | None = 5.0
    """The target is at most this many nats beyond the policy that the run starts from: the reward
    model has seen no text further out. None: the target alone counts. Without a target: unused."""
    missing_eos: Literal["subtract", "replace"] = "subtract"
    missing_eos_penalty: float = 1.0
    missing_eos_min_share: float = 0.8
    """Below this share of the base's samples that end by themselves there is no penalty."""
    ptx_coefficient: float = 0.0
    ptx_texts_per_episode: float = 8.0

    def check(self, problems: Problems) -> None:
        super().check(problems)
        problems.unless(bool(self.reward), "reward: must name a reward model's checkpoint folder")
        problems.one_of(self, "advantage", get_args(Advantage))
        problems.one_of(self, "critic", get_args(Critic))
        problems.one_of(self, "missing_eos", ("subtract", "replace"))
        problems.positive(
            self,
            *("episodes", "prompts_per_batch", "samples_per_prompt", "epochs", "minibatches"),
            "clip",
        )
        problems.within(self, 0, 1, "gamma", "gae_lambda", "missing_eos_min_share")
        problems.unless(
            self.advantage == "gae" or self.samples_per_prompt >= 2,
            "samples_per_prompt: leave-one-out advantages (rloo) need at least 2",
        )
        problems.unless(
            self.kl_target is None or self.kl_target > 0, "kl_target: above 0, or null to fix β"
        )
        problems.unless(
            self.kl_step is None or self.kl_step > 0, "kl_step: above 0, or null for no limit"
        )
        problems.unless(
            (self.prompts_per_batch * self.samples_per_prompt) % self.minibatches == 0,
            "minibatches: must divide prompts_per_batch × samples_per_prompt",
        )
