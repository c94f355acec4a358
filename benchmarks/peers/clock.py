"""When each step of a transformers trainer began and ended."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback


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
