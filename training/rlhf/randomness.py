"""Random numbers that depend on what they are for, never on how many were drawn before.

Keyed by (seed, step, prompt, sample …), so a resumed run draws what it would have drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Key = int | str


def _digest(seed: int, keys: Sequence[Key], size: int) -> int:
    """A hash of the seed and the keys as a whole number of `size` bytes; 1 and "1" differ."""
    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in (seed, *keys))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest(), "little")


def philox(seed: int, *keys: Key) -> np.random.Generator:
    """A numpy generator (Philox, 128-bit key) for these keys."""
    return np.random.Generator(np.random.Philox(key=_digest(seed, keys, 16)))


def uniforms(seed: int, step: int, prompt_keys: Sequence[Key], samples: int, n: int) -> Tensor:
    """Numbers in [0, 1) to sample with: float32 of shape [len(prompt_keys) * samples, n].

    Row p * samples + s belongs to sample s of prompt p, whatever else is in the batch.
    """
    rows = [
        philox(seed, step, key, sample).random(n, dtype=np.float32)
        for key in prompt_keys
        for sample in range(samples)
    ]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, n)


def generator(seed: int, *keys: Key) -> torch.Generator:
    """A torch generator on the CPU for these keys (initial weights, for instance)."""
    return torch.Generator().manual_seed(_digest(seed, keys, 8) >> 1)


def shuffled(n: int, seed: int, *keys: Key) -> list[int]:
    """0 … n - 1 in an order that depends on the seed and the keys only."""
    order: list[int] = philox(seed, *keys).permutation(n).tolist()
    return order
