"""Which device, which precision, how many threads: measured once, then kept beside the run.

Knows nothing of models. A CPU with AVX-512 and bfloat16 is 2.5 times faster in bfloat16, one
without up to four times slower, so it is measured, never assumed.
"""

from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Literal

import torch

from training.rlhf import room
from training.rlhf.durable import RunError, write_atomically
from training.rlhf.rundir import RunDirectory

Precision = Literal["float32", "bfloat16"]

COMPUTE = "compute.json"


@dataclass(frozen=True)
class Compute:
    """Where and how a run computes. The same for all of its life, so that its numbers are too."""

    device: str
    precision: Precision
    threads: int
    share: float = 1.0
    """Of what usually goes through the model at once; less after the memory was not enough."""

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of frozen weights and matrix products."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32


def choose_compute(directory: RunDirectory) -> Compute:
    """What config.json asks for, 'auto' measured at the first start and read again at later ones.

    Sets torch's number of threads. Raises RunError("config_invalid") for a device that isn't there.
    """
    path = directory.path / COMPUTE
    if path.is_file():
        compute = Compute(**json.loads(path.read_text(encoding="utf-8")))
    else:
        config = directory.config
        device = choose_device(config.device)
        threads = choose_threads(config.threads)
        precision = measure_precision(device) if config.precision == "auto" else config.precision
        compute = Compute(device, precision, threads)
        write_atomically(path, json.dumps(asdict(compute)))
    choose_device(compute.device)
    torch.set_num_threads(compute.threads)
    room.take_only(compute.share)
    return compute


def halve_what_goes_at_once(directory: RunDirectory) -> bool:
    """For a run whose memory was not enough; False where that was done before, or too early."""
    path = directory.path / COMPUTE
    compute = Compute(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
    if compute is None or compute.share < 1:
        return False
    write_atomically(path, json.dumps(asdict(replace(compute, share=0.5))))
    return True


def choose_device(asked: str) -> str:
    """'cuda' where there is one and 'auto' was asked for, else what was asked for."""
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=asked)
    except (RuntimeError, AssertionError) as error:
        problem = f"device: {asked} is not on this machine; use auto or cpu"
        raise RunError("config_invalid", problems=problem) from error
    return asked


def choose_threads(asked: int) -> int:
    """The number asked for; 0: torch's own choice (one per core, or OMP_NUM_THREADS)."""
    return asked or torch.get_num_threads()


def mixed(compute: Compute, *, all_trained: bool = True) -> AbstractContextManager[object]:
    """Matrix products of float32 weights in the run's precision, where all of them are trained.

    Weights in bfloat16 have eight bits of mantissa: a step of a learning rate like 1e-5 is rounded
    away. Here they stay float32, and only products are computed in bfloat16.
    """
    kind, wanted = torch.device(compute.device).type, compute.precision == "bfloat16"
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=all_trained and wanted)


def measure_precision(device: str) -> Precision:
    """The faster of the two for a product of a layer's shape (64 × 576 by 576 × 1,536).

    CUDA is bfloat16 wherever the card supports it. On a CPU it takes about 50 ms.
    """
    if torch.device(device).type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    seconds = {dtype: _matmul_seconds(dtype) for dtype in (torch.float32, torch.bfloat16)}
    return "bfloat16" if seconds[torch.bfloat16] < seconds[torch.float32] else "float32"


def _matmul_seconds(dtype: torch.dtype) -> float:
    """The best of several timings of twenty products, in seconds."""
    rows, weight = torch.ones(64, 576, dtype=dtype), torch.ones(1536, 576, dtype=dtype)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(20):
            torch.nn.functional.linear(rows, weight)
        best = min(best, time.perf_counter() - start)
    return best
