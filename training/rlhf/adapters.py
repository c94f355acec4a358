"""LoRA adapters over a frozen base, on disk in PEFT's format.

Knows shapes and files; how an adapter takes part in a layer is in blocks.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.rlhf.blocks import PROJECTIONS, Block, LoraLayer, LoraPart
from training.rlhf.durable import RunError, disk_errors, verify_manifest

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


class Adapter(nn.Module):
    """LoRA in the layers `first` … `first + len(layers) - 1` of a model, the top ones."""

    def __init__(self, blocks: tuple[Block, ...], rank: int, scale: float, first: int) -> None:
        super().__init__()
        self.rank, self.scale, self.first = rank, scale, first
        self.layers = nn.ModuleList([_new_parts(block, rank, scale) for block in blocks[first:]])

    def layer(self, index: int) -> LoraLayer | None:
        """The parts of layer `index`, or None below the adapter."""
        if index < self.first:
            return None
        parts = self.layers[index - self.first]
        return {name: part for name, part in parts.named_children() if isinstance(part, LoraPart)}

    def reset(self, generator: torch.Generator) -> None:
        """Start anew: an adapter that adds nothing."""
        for part in self.modules():
            if isinstance(part, LoraPart):
                part.reset(generator)

    def peft_tensors(self) -> dict[str, Tensor]:
        """Every matrix by the name that PEFT gives it; views, not copies."""
        tensors: dict[str, Tensor] = {}
        for index in range(self.first, self.first + len(self.layers)):
            for name, part in (self.layer(index) or {}).items():
                downs = torch.split(part.down, part.rank)
                for path, down, up in zip(PROJECTIONS[name], downs, part.ups, strict=True):
                    prefix = f"base_model.model.model.layers.{index}.{path}"
                    tensors[f"{prefix}.lora_A.weight"] = down
                    tensors[f"{prefix}.lora_B.weight"] = up
        return tensors


def _new_parts(block: Block, rank: int, scale: float) -> nn.ModuleDict:
    heads, kv_heads = block.heads * block.head_width, block.kv_heads * block.head_width
    inner = len(block.weights["gate_up"]) // 2
    width = len(block.weights["down"])
    outs = {
        "qkv": [heads, kv_heads, kv_heads],
        "out": [width],
        "gate_up": [inner, inner],
        "down": [width],
    }
    return nn.ModuleDict(
        {
            name: LoraPart(block.weights[name].shape[1], outs[name], rank, scale).to(
                block.weights[name].device
            )
            for name in PROJECTIONS
        }
    )


def write_adapter(adapter: Adapter, folder: Path, base: str) -> None:
    """Write adapter_config.json and adapter_model.safetensors. `base`: where the base came from."""
    text = json.dumps(_peft_settings(adapter, base), indent=2, sort_keys=True)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SETTINGS).write_text(text, encoding="utf-8")
        tensors = {
            name: tensor.detach().cpu().contiguous().clone()
            for name, tensor in adapter.peft_tensors().items()
        }
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def _peft_settings(adapter: Adapter, base: str) -> dict[str, Any]:
    """What PEFT's LoraConfig is made from; whatever is not named has PEFT's default."""
    modules = [path.rsplit(".", 1)[1] for paths in PROJECTIONS.values() for path in paths]
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": adapter.rank,
        "lora_alpha": adapter.scale * adapter.rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(modules),
        "layers_to_transform": list(range(adapter.first, adapter.first + len(adapter.layers))),
        "layers_pattern": "layers",
    }


def _check_numbers(tensors: Mapping[str, Tensor], rank: int, scale: float) -> None:
    """Raises ValueError where the settings are not those of the weights, or a number is none.

    Looked at before anything is made of that rank: a file may claim one that fills the memory.
    """
    ranks = {len(tensor) for name, tensor in tensors.items() if name.endswith("lora_A.weight")}
    if ranks != {rank}:
        raise ValueError(f"r is {rank}, the weights have {sorted(ranks)}")
    if not math.isfinite(scale) or not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise ValueError("numbers that are not finite")


def read_adapter(folder: Path, blocks: tuple[Block, ...]) -> Adapter:
    """Load an adapter that `write_adapter` wrote onto these blocks; its manifest is verified.

    Raises RunError: model_not_found, checkpoint_corrupt, checkpoint_mismatch (another base).
    """
    if not (folder / SETTINGS).is_file():
        raise RunError("model_not_found", path=str(folder))
    verify_manifest(folder)
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
        layers = sorted(map(int, settings["layers_to_transform"] or range(len(blocks))))
        rank, scale = int(settings["r"]), float(settings["lora_alpha"]) / settings["r"]
        _check_numbers(tensors, rank, scale)
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, SafetensorError) as error:
        raise RunError(
            "checkpoint_corrupt",
            path=str(folder),
            expected="a LoRA adapter",
            found=str(error)[:500],
        ) from error
    if layers != list(range(layers[0], len(blocks))):
        found = f"layers {layers[0]} to {layers[-1]}"
        expected = f"layers up to {len(blocks) - 1}"
        raise RunError("checkpoint_mismatch", path=str(folder), expected=expected, found=found)
    adapter = Adapter(blocks, rank, scale, layers[0])
    own = adapter.peft_tensors()
    if {name: tensor.shape for name, tensor in own.items()} != {
        name: tensor.shape for name, tensor in tensors.items()
    }:
        raise RunError(
            "checkpoint_mismatch", path=str(folder), expected="the base's shapes", found="others"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
    return adapter.requires_grad_(False)
