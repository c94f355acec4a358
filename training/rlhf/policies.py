"""A policy and the base that it must not stray from: what is trained, kept, averaged and saved.

Knows nothing of rewards. LoRA shares the base's weights; full fine-tuning has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.configs import PolicyConfig
from training.rlhf.adapters import SETTINGS
from training.rlhf.durable import RunError
from training.rlhf.models import (
    LanguageModel,
    add_lora,
    load_adapter,
    load_language_model,
    unfreeze,
)
from training.rlhf.precision import Precision
from training.rlhf.randomness import generator


@dataclass(frozen=True, eq=False)
class Policy:
    """`lm` is trained; `reference` stays what it is: the KL penalty is measured against it."""

    lm: LanguageModel
    reference: LanguageModel

    @property
    def first(self) -> int:
        """How many layers, counted from below, the policy shares with its reference."""
        return shared_layers(self.lm, self.reference)

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of the trained weights, by name."""
        return {name: value.detach().clone() for name, value in self.lm.trainable().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put a snapshot's weights in."""
        with torch.no_grad():
            for name, parameter in self.lm.trainable().items():
                parameter.copy_(tensors[name])


def start_policy(config: PolicyConfig, base: LanguageModel) -> Policy:
    """The policy that the config starts from, trainable. Raises RunError as loading does."""
    reference = base.with_adapter(None)
    is_adapter = config.adapter is not None and (Path(config.adapter) / SETTINGS).is_file()
    if config.adapter is not None and is_adapter != bool(config.lora_rank):
        problem = "lora_rank: 0 starts from the base or a whole model, above 0 from an adapter"
        raise RunError("config_invalid", problems=problem)
    if not config.lora_rank:
        own = load_policy(base, config.adapter, fresh=True)
        unfreeze(own)
        return Policy(own, reference)
    if config.adapter is not None:
        adapter = load_adapter(reference, config.adapter)
        adapter.requires_grad_(True)
        return Policy(reference.with_adapter(adapter), reference)
    lora = add_lora(
        reference,
        config.lora_rank,
        config.lora_scale,
        config.lora_top_share,
        generator(config.seed, "policy"),
    )
    return Policy(lora, reference)


def load_policy(base: LanguageModel, folder: str | None, *, fresh: bool = False) -> LanguageModel:
    """A policy by its checkpoint: an adapter on `base`, a whole model, or (None) the base itself.

    fresh: a copy of the weights even where it is the base.
    """
    if folder is not None and (Path(folder) / SETTINGS).is_file():
        return base.with_adapter(load_adapter(base, folder))
    if folder is None and not fresh:
        return base.with_adapter(None)
    precision: Precision = "bfloat16" if base.dtype == torch.bfloat16 else "float32"
    return load_language_model(
        base.path if folder is None else folder, device=str(base.device), precision=precision
    )


def shared_layers(lm: LanguageModel, base: LanguageModel) -> int:
    """How many layers, counted from below, `lm` computes exactly as `base` does."""
    if lm.model is not base.model:
        return 0
    return lm.layers if lm.adapter is None else lm.adapter.first


def average(into: dict[str, Tensor], newest: Mapping[str, Tensor], decay: float) -> None:
    """An exponential moving average of weights: into = decay · into + (1 − decay) · newest."""
    for name, value in into.items():
        value.lerp_(newest[name].detach().to(value.dtype), 1 - decay)
