"""What the peers' trainers share: a clock, arguments that keep them quiet, and how they run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

QUIET: dict[str, Any] = {
    "gradient_checkpointing": False,
    "save_strategy": "no",
    "report_to": "none",
    "use_cpu": True,
    "disable_tqdm": True,
}
"""Nothing is saved, reported or recomputed."""


class Clock(TrainerCallback):
    """Seconds of each step; of trainers that announce only its end, from one end to the next."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._from: float | None = None

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._from = time.monotonic()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        now = time.monotonic()
        if self._from is not None:
            self.seconds.append(now - self._from)
        self._from = now


def run(train: Callable[[dict[str, Any]], list[float]]) -> None:
    """Train on the work that the command line names; print the seconds of its steps as JSON."""
    work = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(work["threads"])
    print(json.dumps({"seconds": train(work)}))
