"""Which weights of a run become its result: averaged along the way, looked at, the best kept.

For every recipe that trains a policy. Knows nothing of how it learns.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from training.configs import PolicyConfig
from training.rlhf.development import Development, Look
from training.rlhf.models import save_adapter
from training.rlhf.policies import Policy, average
from training.rlhf.process import Control
from training.rlhf.rundir import ResultMetrics, RunDirectory

logger = logging.getLogger(__name__)


class Picking:
    """The averaged weights of a policy under training, and those that the judge liked best."""

    def __init__(
        self,
        directory: RunDirectory,
        control: Control,
        *,
        config: PolicyConfig,
        policy: Policy,
        development: Development,
    ) -> None:
        self.directory, self.control, self.config = directory, control, config
        self.policy, self.development = policy, development
        weights = policy.snapshot() if config.ema is not None else {}
        # In float32 whatever the weights are: an average moves by small steps.
        self.averaged = {name: value.float() for name, value in weights.items()}
        self.best = policy.snapshot()
        self.best_look: Look | None = None
        self.excess = 0.0
        """Of the newest look: how far it went, 1 is at the limits of the run."""

    def average(self) -> None:
        """Take the weights after a batch into the average, where there is one."""
        if self.config.ema is not None:
            average(self.averaged, self.policy.lm.trainable(), self.config.ema)

    def is_due(self, seen: int, *, batch: int, last: bool) -> bool:
        """Whether it is time for a look after `seen` episodes (or prompts), `batch` at a time."""
        every = self.config.evaluate_every
        return seen // every > (seen - batch) // every or last

    def look(self, seen: int, *, step: int) -> dict[str, float | None]:
        """Look at the (averaged) policy, keep its weights if they are the best so far.

        seen: how many episodes it has learned from. What metrics.jsonl says of it.
        """
        started = time.monotonic()
        current = self.policy.snapshot()
        if self.config.ema is not None:
            self.policy.load(self.averaged)
        look, shown = self.development.look(seen, self.control)
        if self.best_look is None or look.better_than(self.best_look, self.config):
            self.best, self.best_look = self.policy.snapshot(), look
        self.policy.load(current)
        self.excess = look.excess(self.config)
        self.directory.log_samples([{**row, "step": step} for row in shown])
        logger.info("%s", look)
        return {
            "judge_win_rate": look.win_rate,
            "judge_preference": look.preference,
            "development_score": look.score,
            "development_kl": look.kl,
            "development_length": look.length,
            "distinct2": look.distinct2,
            "seconds_look": round(time.monotonic() - started, 2),
        }

    def tensors(self) -> dict[str, Tensor]:
        """What a resumed run needs, with `values`."""
        return {
            **{f"best.{name}": value for name, value in self.best.items()},
            **{f"averaged.{name}": value for name, value in self.averaged.items()},
        }

    def values(self) -> dict[str, Any]:
        """The best look, as JSON."""
        return {"best_look": None if self.best_look is None else asdict(self.best_look)}

    def load(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on from what `tensors` and `values` gave."""
        self.best = _part(tensors, "best.", like=self.best)
        self.averaged = _part(tensors, "averaged.", like=self.averaged)
        self.best_look = Look(**values["best_look"])

    def publish(self) -> ResultMetrics:
        """Make the best look's weights the checkpoint, and its numbers the run's metrics."""
        if self.best_look is None:
            raise ValueError("a run has looked at least once")
        look = self.best_look
        self.policy.load(self.best)
        folder = self.directory.checkpoint_folder()
        save_adapter(self.policy.lm, folder)
        self.directory.publish_checkpoint(folder)
        return {
            "judge_win_rate": look.win_rate,
            "judge_preference": look.preference,
            "kl": look.kl,
            "length": look.length,
            "finished_share": look.finished_share,
            "entropy": look.entropy,
            "distinct2": look.distinct2,
        }


def _part(
    tensors: Mapping[str, Tensor], prefix: str, *, like: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, on the devices of those in `like`."""
    return {name: tensors[prefix + name].to(value.device) for name, value in like.items()}
