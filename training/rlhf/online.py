"""What PPO and GRPO remember from batch to batch: β, the best look, the states to resume from.

Knows nothing of advantages: the recipe turns scores into targets, and learns from them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict

from torch import Tensor

from training.configs import OnlineConfig
from training.rlhf.durable import RunError
from training.rlhf.finite import Step
from training.rlhf.optimiser import Optimiser
from training.rlhf.picking import Picking
from training.rlhf.process import Control
from training.rlhf.rewarded import Parts
from training.rlhf.ridge_critic import RidgeCritic
from training.rlhf.rollouts import Episodes
from training.rlhf.rundir import ResultMetrics, RunDirectory
from training.rlhf.schedules import KlController, kl_target_from

RUNAWAY, LEAST_RUNAWAY = 10.0, 100.0
"""Times the limit of what may become a result, and nats: who is further gone has fallen apart."""

logger = logging.getLogger(__name__)


class OnlineRun:
    """A run that samples, scores and learns, batch by batch."""

    def __init__(
        self,
        directory: RunDirectory,
        control: Control,
        *,
        config: OnlineConfig,
        parts: Parts,
        optimiser: Optimiser,
        critic: RidgeCritic | None = None,
    ) -> None:
        self.directory, self.control, self.config = directory, control, config
        self.optimiser, self.critic = optimiser, critic
        self.picking = Picking(
            directory, control, config=config, policy=parts.policy, development=parts.development
        )
        self.prompts_cut = parts.prompts.cut
        self.episodes_per_batch = config.episodes_per_batch()
        self.batches = config.batches()
        self.done = 0
        self.ran_away = False
        self.controller = self._controller(started_at=0.0)

    @property
    def beta(self) -> float:
        """The KL coefficient of the batch at hand, on the normalised score's scale, per nat."""
        return self.config.kl_coefficient if self.config.kl_target is None else self.controller.beta

    def resume_or_look(self) -> None:
        """Go on from the last state; at the very start, look at the policy that it starts from."""
        state = self.directory.load_state()
        if state is None:
            self.picking.look(0, step=0)
            if self.picking.best_look is not None:
                self.controller = self._controller(started_at=self.picking.best_look.kl)
            return
        self.done = state.step
        self.optimiser.load(state.tensors, "update.")
        if self.critic is not None:
            self.critic.load(state.tensors, "critic.")
        self.picking.load(state.tensors, state.values)
        self.controller = KlController(**state.values["controller"])

    def measure(self, episodes: Episodes, step: Step) -> None:
        """Set β by the KL of the batch at hand, before it is learned from.

        A batch later the policy may have gone twice as far: that delay alone makes KL swing.
        Where it is so far that nothing brings it back, the run ends (`ran_away`) with what it had
        before; raises RunError("kl_ran_away") if that was nothing. Raises RunError("not_finite")
        for episodes that nothing could be learned from.
        """
        kl = float(episodes.kl.sum(1).mean())
        most = max(RUNAWAY * self.config.kl_limit, LEAST_RUNAWAY)
        if kl > most:
            if self.picking.best_look is None or not self.picking.best_look.seen:
                raise RunError("kl_ran_away", step=step.number, kl=round(kl, 2), most=most)
            logger.warning("KL ran away: %.4g nats, beyond %.4g; the run ends here", kl, most)
            self.ran_away = True
        else:
            step.check(score=episodes.scores[0], uncertainty=episodes.spread, kl=kl)
        self.controller = self.controller.measured(kl, episodes=self.episodes_per_batch)

    def finish_batch(self, done: int, numbers: Mapping[str, float | None]) -> None:
        """Take note of a batch, the `done`-th; look and save where it is time; stop if asked to."""
        self.done = done
        self.picking.average()
        last = done == self.batches
        looked = {}
        seen = done * self.episodes_per_batch
        if self.picking.is_due(seen, batch=self.episodes_per_batch, last=last):
            looked = self.picking.look(seen, step=done)
            self.controller = self.controller.aiming_lower(self.picking.excess)
        rate = {"learning_rate": self.optimiser.rate}
        self.directory.log_metrics(done, self.batches, **{**numbers, **rate, **looked})
        if done % self.config.save_every == 0 or last or self.control.stopping:
            self._save(done)
        if not last:
            self.control.step_boundary()

    def publish(self) -> ResultMetrics:
        """Make the best look's weights the checkpoint, and its numbers the run's metrics."""
        found = self.picking.publish()
        look = self.picking.best_look
        return {
            "episodes": self.done * self.episodes_per_batch,
            **({"ran_away_at_step": self.done + 1} if self.ran_away else {}),
            "picked_episode": None if look is None else look.seen,
            "reward": None if look is None else look.score,
            "prompts_cut": self.prompts_cut,
            **found,
        }

    def _controller(self, *, started_at: float) -> KlController:
        """Without a target it only measures: β is fixed."""
        config = self.config
        target = kl_target_from(started_at, target=config.kl_target or 1.0, step=config.kl_step)
        return KlController(target=target, start=config.kl_coefficient)

    def _save(self, done: int) -> None:
        tensors = {
            **self.optimiser.tensors("update."),
            **({} if self.critic is None else self.critic.tensors("critic.")),
            **self.picking.tensors(),
        }
        values = {"controller": asdict(self.controller), **self.picking.values()}
        self.directory.save_state(done, tensors, values)


def batch_numbers(episodes: Episodes, scores: Tensor, beta: float) -> dict[str, float | None]:
    """What metrics.jsonl says of a batch's episodes. scores: (n,), with the penalty for no end."""
    mask = episodes.batch.mask
    kl = episodes.kl.sum(1)
    gap = (episodes.old - episodes.sampler)[mask]
    return {
        "reward": float((scores - beta * kl.cpu()).mean()),
        "score": float(scores.mean()),
        "uncertainty": float(episodes.spread.mean()),
        "kl": float(kl.mean()),
        "beta": beta,
        "entropy": float(episodes.entropy[mask].mean()),
        "length": float(episodes.lengths.float().mean()),
        "finished_share": float(episodes.finished.float().mean()),
        "sampler_gap": float(gap.abs().mean()),
    }
