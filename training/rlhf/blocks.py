"""One decoder layer of the Llama family as fused matrices, and LoRA beside it.

Knows how a layer computes, not what is computed with it: no batches, caches, tokens or files.
The residual stream, norms and LoRA are float32; frozen matrices have the model's dtype (bfloat16
where that is faster). Sampling and training call the same functions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.rlhf.products import Product

PROJECTIONS: dict[str, tuple[str, ...]] = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "out": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}
"""The fused matrices of a layer and the modules, as transformers names them, that each holds."""


class LoraPart(nn.Module):
    """Low-rank additions to the modules of one fused matrix (arXiv 2106.09685), float32.

    down: [modules * rank, in]. ups[i]: [out_i, rank]. Adds scale * up_i · down_i · x to module i.
    """

    def __init__(self, width: int, outs: list[int], rank: int, scale: float) -> None:
        super().__init__()
        self.rank, self.scale = rank, scale
        self.down = nn.Parameter(torch.empty(len(outs) * rank, width))
        self.ups = nn.ParameterList([torch.zeros(out, rank) for out in outs])

    def reset(self, generator: torch.Generator) -> None:
        """The usual start: `down` uniform in ±1/√in, `ups` zero, so that nothing is added yet."""
        bound = 1 / math.sqrt(self.down.shape[1])
        with torch.no_grad():
            self.down.copy_((torch.rand(self.down.shape, generator=generator) * 2 - 1) * bound)
            for up in self.ups:
                up.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in] float32 → [..., sum of outs] float32."""
        low = F.linear(x, self.down) * self.scale
        parts = torch.split(low, self.rank, dim=-1)
        return torch.cat([F.linear(part, up) for part, up in zip(parts, self.ups, strict=True)], -1)

    def delta(self) -> Tensor:
        """What the fused matrix would change by if this were merged into it: [outs, in]."""
        downs = torch.split(self.down, self.rank)
        deltas = [up @ down for up, down in zip(self.ups, downs, strict=True)]
        return torch.cat(deltas) * self.scale


LoraLayer = dict[str, LoraPart]
"""The parts of one layer by the name of the fused matrix."""


@dataclass(frozen=True, eq=False)
class Block:
    """One decoder layer. Matrices are [out, in]; the transformers modules hold views of them."""

    input_norm: nn.Parameter
    mlp_norm: nn.Parameter
    weights: dict[str, nn.Parameter]
    """By the names of PROJECTIONS."""
    biases: dict[str, nn.Parameter | None]
    query_norm: nn.Parameter | None
    key_norm: nn.Parameter | None
    heads: int
    kv_heads: int
    head_width: int
    epsilon: float
    activation: Callable[[Tensor], Tensor]
    products: dict[str, Product] | None = None
    """The matrices once more, as for_sampling() lays them out."""

    def for_sampling(self, rows: int) -> Block:
        """The same layer, faster for many passes of about `rows` tokens without gradients.

        As long as its weights stay as they are: see Product.
        """
        products = {
            name: Product(weight, self.biases[name], rows) for name, weight in self.weights.items()
        }
        return dataclasses.replace(self, products=products)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Every weight of the layer by a name."""
        named: dict[str, nn.Parameter | None] = {
            "input_norm": self.input_norm,
            "mlp_norm": self.mlp_norm,
            "query_norm": self.query_norm,
            "key_norm": self.key_norm,
            **{f"{name}.weight": weight for name, weight in self.weights.items()},
            **{f"{name}.bias": bias for name, bias in self.biases.items()},
        }
        return {name: value for name, value in named.items() if value is not None}


def fuse_layer(layer: Any, config: Any) -> Block:
    """Read a transformers decoder layer; its projections become views of the fused matrices."""
    attention = layer.self_attn
    weights: dict[str, nn.Parameter] = {}
    biases: dict[str, nn.Parameter | None] = {}
    for name, paths in PROJECTIONS.items():
        modules = [layer.get_submodule(path) for path in paths]
        weights[name] = _fuse(modules, "weight")
        biases[name] = None if modules[0].bias is None else _fuse(modules, "bias")
    query_norm, key_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
    return Block(
        input_norm=layer.input_layernorm.weight,
        mlp_norm=layer.post_attention_layernorm.weight,
        weights=weights,
        biases=biases,
        query_norm=None if query_norm is None else query_norm.weight,
        key_norm=None if key_norm is None else key_norm.weight,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_width=attention.head_dim,
        epsilon=config.rms_norm_eps,
        activation=layer.mlp.act_fn,
    )


def _fuse(modules: list[Any], name: str) -> nn.Parameter:
    tensors = [getattr(module, name) for module in modules]
    fused = tensors[0].data if len(tensors) == 1 else torch.cat([t.data for t in tensors])
    for tensor, view in zip(tensors, torch.split(fused, [len(t) for t in tensors]), strict=True):
        tensor.data = view
        tensor.requires_grad_(False)
    return nn.Parameter(fused, requires_grad=False)


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """x: [..., d] float32 → the same, scaled to a root mean square of `weight`."""
    scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon)
    return x * scale * weight.float()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions. x: [..., heads, w]; cosine and sine: [..., 1, w]."""
    left, right = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-right, left], dim=-1) * sine


class Heads(NamedTuple):
    """Queries [..., heads, w], keys and values [..., kv_heads, w], in the model's dtype."""

    queries: Tensor
    keys: Tensor
    values: Tensor


def project(block: Block, name: str, x: Tensor, lora: LoraLayer | None) -> Tensor:
    """x: [..., in] → [..., out]. In the matrix's dtype without LoRA, float32 with it."""
    weight = block.weights[name]
    rows = x.to(weight.dtype)
    if block.products is None:
        product = F.linear(rows, weight, block.biases[name])
    else:
        product = block.products[name](rows)
    return product if lora is None else product.float() + lora[name](x.float())


def read_heads(
    block: Block, hidden: Tensor, cosine: Tensor, sine: Tensor, lora: LoraLayer | None
) -> Heads:
    """What a layer's attention works on. hidden: [..., d] float32; cosine, sine: [..., 1, w]."""
    x = rms_norm(hidden, block.input_norm, block.epsilon)
    fused = torch.unflatten(project(block, "qkv", x, lora), -1, (-1, block.head_width))
    queries, keys, values = torch.split(
        fused, [block.heads, block.kv_heads, block.kv_heads], dim=-2
    )
    if block.query_norm is not None and block.key_norm is not None:
        queries = rms_norm(queries.float(), block.query_norm, block.epsilon)
        keys = rms_norm(keys.float(), block.key_norm, block.epsilon)
    dtype = block.weights["qkv"].dtype
    return Heads(
        rotate(queries, cosine, sine).to(dtype),
        rotate(keys, cosine, sine).to(dtype),
        values.to(dtype),
    )


def finish_layer(block: Block, hidden: Tensor, mixed: Tensor, lora: LoraLayer | None) -> Tensor:
    """The rest of a layer. hidden: [..., d] float32; mixed: [..., heads * w] → [..., d] float32."""
    hidden = hidden + project(block, "out", mixed, lora)
    x = rms_norm(hidden, block.mlp_norm, block.epsilon)
    gate, up = project(block, "gate_up", x, lora).chunk(2, dim=-1)
    return hidden + project(block, "down", block.activation(gate) * up, lora)
