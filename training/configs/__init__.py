"""What a recipe is told: frozen dataclasses that validate themselves. Standard library only.

One half of the contract between Django and the trainer; the other half is `training/records.py`.
Knows nothing of the database, of torch, or of where a run directory lies.
"""

from __future__ import annotations

import json

from training.configs.base import PRESETS, ConfigError, Preset, Problems, RunConfig
from training.configs.closed import CLOSED_TASKS, ClosedConfig
from training.configs.dpo import DirectLoss, DpoConfig
from training.configs.evaluate import EvaluateConfig
from training.configs.grpo import AverageOver, Baseline, GrpoConfig, KlIn, Scale
from training.configs.policy import PolicyConfig
from training.configs.ppo import Advantage, Critic, PpoConfig
from training.configs.pretrain import PretrainConfig
from training.configs.rejection import RejectionConfig
from training.configs.reward import Finetune, RewardConfig
from training.configs.rewarded import OnlineConfig, RewardedConfig
from training.configs.sample import SampleConfig
from training.configs.sft import SftConfig

__all__ = [
    "CLOSED_TASKS",
    "CONFIGS",
    "PRESETS",
    "Advantage",
    "AverageOver",
    "Baseline",
    "ClosedConfig",
    "ConfigError",
    "Critic",
    "DirectLoss",
    "DpoConfig",
    "EvaluateConfig",
    "Finetune",
    "GrpoConfig",
    "KlIn",
    "OnlineConfig",
    "PolicyConfig",
    "PpoConfig",
    "Preset",
    "PretrainConfig",
    "Problems",
    "RejectionConfig",
    "RewardConfig",
    "RewardedConfig",
    "RunConfig",
    "SampleConfig",
    "Scale",
    "SftConfig",
    "parse_config",
]

CONFIGS: dict[str, type[RunConfig]] = {
    config.recipe: config
    for config in (
        *(PretrainConfig, SftConfig, RewardConfig, PpoConfig, GrpoConfig, RejectionConfig),
        *(DpoConfig, SampleConfig, EvaluateConfig, ClosedConfig),
    )
}


def parse_config(text: str) -> RunConfig:
    """Read a config.json. Raises ConfigError, saying what would be right."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"config.json: line {error.lineno} is not JSON: {error.msg}"
        raise ConfigError([message]) from error
    if not isinstance(values, dict) or values.get("recipe") not in CONFIGS:
        raise ConfigError([f"recipe: must be one of {', '.join(CONFIGS)}"])
    return CONFIGS[values["recipe"]].from_dict(values)
