"""Which epoch's weights become the result of SFT. Numbers and weights in, the best weights out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from training.configs import SftConfig

By = Literal["reward", "validation_loss", "last"]
PREFIX = "best."


def picks_by(config: SftConfig, *, held_out: bool) -> By:
    """What decides: as the config asks, as far as something was kept back."""
    if config.pick in ("auto", "reward") and config.reward:
        return "reward"
    if config.pick in ("auto", "validation_loss") and held_out:
        return "validation_loss"
    return "last"


class EpochPicking:
    """Keeps a copy of the best epoch's weights; of nothing where the last epoch is the result."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], by: By) -> None:
        self.parameters, self.by = parameters, by
        self.best: dict[str, Tensor] = {}
        self.epoch = 0
        """The best one, counted from 1."""
        self.numbers: dict[str, float | None] = {}
        """What was measured of it."""

    def offer(self, epoch: int, numbers: Mapping[str, float | None]) -> None:
        """Take the weights as they are if they are the best so far; of equals the earlier."""
        if self.epoch and not self._better(numbers):
            return
        self.epoch, self.numbers = epoch, dict(numbers)
        if self.by != "last":
            self.best = {name: value.detach().clone() for name, value in self.parameters.items()}

    def put_back(self) -> None:
        """Make the best weights the model's."""
        with torch.no_grad():
            for name, value in self.best.items():
                self.parameters[name].copy_(value)

    def tensors(self) -> dict[str, Tensor]:
        """What a resumed run needs, with `values`."""
        return {PREFIX + name: value for name, value in self.best.items()}

    def values(self) -> dict[str, Any]:
        """What a resumed run needs, with `tensors`."""
        return {"picked_epoch": self.epoch, "picked_numbers": self.numbers}

    def load(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Take over what `tensors` and `values` gave."""
        self.epoch, self.numbers = values["picked_epoch"], dict(values["picked_numbers"])
        self.best = {
            name: tensors[PREFIX + name].to(value.device)
            for name, value in self.parameters.items()
            if PREFIX + name in tensors
        }

    def _better(self, numbers: Mapping[str, float | None]) -> bool:
        name = {"reward": "reward_score", "validation_loss": "validation_loss"}.get(self.by)
        if name is None:
            return True
        new, old = numbers.get(name), self.numbers.get(name)
        if new is None or old is None:
            return True
        return new > old if self.by == "reward" else new < old
