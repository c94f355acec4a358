"""One PPO update: epochs of minibatches over a batch of episodes (InstructGPT, appendix C.4).

GRPO's is the same update on other targets. Knows nothing of how the episodes were sampled or
scored, of how advantages come about, or of how often this is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from training.configs import OnlineConfig, PpoConfig
from training.rlhf.advantages import (
    explained_variance,
    generalised_advantages,
    leave_one_out,
    scale_to_unit,
    still_to_come,
    token_rewards,
    whiten,
)
from training.rlhf.finite import Step
from training.rlhf.layers import Batch, Logprobs
from training.rlhf.likelihood import add_gradients
from training.rlhf.losses import (
    PolicyStats,
    kl_loss,
    ppo_policy_loss,
    sampler_weights,
    value_loss,
)
from training.rlhf.optimiser import Optimiser
from training.rlhf.policies import Policy
from training.rlhf.process import Control
from training.rlhf.randomness import shuffled
from training.rlhf.ridge_critic import RidgeCritic
from training.rlhf.rollouts import Episodes, logprobs_from, micro_batches, narrow
from training.rlhf.room import is_short
from training.rlhf.values import Frozen, ValueFunction


@dataclass(frozen=True, eq=False)
class Targets:
    """What an update learns from. advantages, returns, values: (n, t); the last two for GAE."""

    advantages: Tensor
    returns: Tensor | None = None
    values: Tensor | None = None
    frozen: Frozen | None = None
    """What a critic that is a network read of the batch once and for all; None: reads it anew."""
    token_weights: Tensor | None = None
    """(n, t) what each token counts within its completion; the loss is then a mean over
    completions. None: a mean over all tokens."""
    kl: float = 0.0
    """Coefficient of the KL to the reference in the loss, where it is not in the reward."""


@dataclass(frozen=True, eq=False)
class ValueTerm:
    """A value function that learns along with the policy: coefficient × its clipped loss."""

    function: ValueFunction
    clip: float
    coefficient: float


class UpdateStats(NamedTuple):
    """Means over the update's minibatches; ratio_first: of the first one, 1 but for rounding.

    policy_loss: with what the KL and the entropy add to it, where they are in the loss.
    """

    policy_loss: float
    value_loss: float | None
    ptx_loss: float | None
    clip_share: float
    update_kl: float
    """To the policy that sampled, of the minibatch that had gone furthest: nats a token, by k3."""
    minibatches_taken: int
    ratio_first: float
    gradient_norm: float
    explained_variance: float | None


def make_targets(
    config: PpoConfig,
    episodes: Episodes,
    scores: Tensor,
    beta: float,
    critic: ValueFunction | RidgeCritic | None,
) -> Targets:
    """Advantages of a batch. scores: (n,), after the penalty for a missing end.

    rloo: score − β·KL of a whole completion, less the mean of its prompt's other samples, over the
    batch's standard deviation. gae: per token, from a critic, whitened over the batch's tokens. A
    ridge critic learns here; a network by the update's value loss.
    """
    mask = episodes.batch.mask
    scores = scores.to(mask.device)
    if critic is None:
        whole = scores - beta * episodes.kl.sum(1)
        groups = leave_one_out(whole.view(-1, config.samples_per_prompt))
        return Targets(scale_to_unit(groups).view(-1, 1) * mask)
    rewards = token_rewards(scores, episodes.kl, mask, beta=beta)
    if isinstance(critic, RidgeCritic):
        if episodes.so_far is None:
            raise ValueError("a ridge critic needs the scores so far")
        values = critic.values(episodes.batch, episodes.so_far, still_to_come(rewards))
        frozen = None
    else:
        values, frozen = _read(critic, episodes.batch)
    advantages, returns = generalised_advantages(
        rewards, values, mask, gamma=config.gamma, lam=config.gae_lambda
    )
    return Targets(whiten(advantages, mask), returns, values, frozen)


@torch.no_grad()
def _read(critic: ValueFunction, batch: Batch) -> tuple[Tensor, Frozen | None]:
    """The network's values of a whole batch, (n, t), and what it need not read again.

    That saves time alone: where memory is short, it is not kept.
    """
    shape, device = batch.ids.shape, batch.ids.device
    values, scores = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
    states = None if is_short() else torch.zeros(*shape, critic.width, device=device)
    for rows in micro_batches(batch, torch.arange(len(batch.ids), device=device)):
        part, _ = narrow(batch, None, rows)
        size = part.ids.shape[1]
        read = critic.frozen(part)
        values[rows, :size] = critic(part, read)
        if states is not None:
            scores[rows, :size], states[rows, :size] = read
    return values, None if states is None else Frozen(scores, states)


class Update:
    """The policy, its critic and the optimiser that changes both."""

    def __init__(
        self, config: OnlineConfig, policy: Policy, critic: ValueTerm | None = None
    ) -> None:
        self.config, self.policy, self.critic = config, policy, critic
        trained = {f"policy.{name}": p for name, p in policy.lm.trainable().items()}
        if critic is not None:
            trained |= {f"critic.{name}": p for name, p in critic.function.trainable().items()}
        self.optimiser = Optimiser(
            trained,
            learning_rate=config.learning_rate,
            beta2=config.adam_beta2,
            epsilon=config.adam_epsilon,
            clip=config.gradient_clip,
        )

    def run(
        self,
        episodes: Episodes,
        targets: Targets,
        *,
        number: int,
        share: float,
        control: Control,
        step: Step | None = None,
        texts: Sequence[Batch] = (),
        ptx_coefficient: float = 0.0,
    ) -> UpdateStats:
        """All epochs over one batch. share: of the peak learning rate. texts: for PPO-ptx, one
        batch for each minibatch of each epoch; empty without. number: the batch's, for its order.
        step: the batch as an error names it.
        """
        at = step or Step(number=number + 1)
        sums: dict[str, float] = {}
        steps, furthest, limit = 0, 0.0, self.config.update_kl_limit
        for rows in self._minibatches(episodes.batch, number):
            stats = self._minibatch(episodes, targets, rows, control)
            furthest = max(furthest, stats["kl"])
            if steps and limit is not None and stats["kl"] > limit:
                self.optimiser.forget()
                break  # what was sampled no longer tells of the policy that has become of it
            if texts:
                stats["ptx_loss"] = add_gradients(
                    self.policy.lm,
                    texts[steps % len(texts)],
                    control,
                    coefficient=ptx_coefficient,
                )
            at.check(**{name: value for name, value in stats.items() if name.endswith("_loss")})
            stats["gradient_norm"] = self.optimiser.step(share, at=at)
            if not steps:
                first = stats["ratio"]
            steps += 1
            for name, value in stats.items():
                sums[name] = sums.get(name, 0.0) + value
        means = {name: value / steps for name, value in sums.items()}
        explained = None
        if targets.returns is not None and targets.values is not None:
            explained = explained_variance(targets.values, targets.returns, episodes.batch.mask)
        return UpdateStats(
            policy_loss=means["policy_loss"],
            value_loss=means.get("value_loss"),
            ptx_loss=means.get("ptx_loss"),
            clip_share=means["clip_share"],
            update_kl=min(furthest, 1e6),  # e^88 would be infinite, which no metric may be
            minibatches_taken=steps,
            ratio_first=first,
            gradient_norm=means["gradient_norm"],
            explained_variance=explained,
        )

    def _minibatches(self, batch: Batch, number: int) -> Iterator[Tensor]:
        """Rows of each minibatch of each epoch over batch `number`; a prompt's samples stay
        together, so that it is computed once."""
        prompts = len(batch.prompt_ids)
        for epoch in range(self.config.epochs):
            order = torch.tensor(shuffled(prompts, self.config.seed, "minibatches", number, epoch))
            place = torch.empty_like(order)
            place[order] = torch.arange(prompts)
            rows = place[batch.owner.cpu()].argsort(stable=True).to(batch.ids.device)
            yield from torch.split(rows, len(rows) // self.config.minibatches)

    def _minibatch(
        self, episodes: Episodes, targets: Targets, rows: Tensor, control: Control
    ) -> dict[str, float]:
        """Add up the gradients of one minibatch."""
        count = float(episodes.batch.mask[rows].sum())
        divisor = count if targets.token_weights is None else float(len(rows))
        sums = dict.fromkeys(("policy_loss", "clip_share", "ratio", "kl"), 0.0)
        for part_rows in micro_batches(episodes.batch, rows):
            control.step_boundary()
            part, hidden = narrow(episodes.batch, episodes.start, part_rows)
            found = logprobs_from(
                self.policy.lm,
                part,
                hidden,
                episodes.first,
                self.config.temperature,
                learn_entropy=self.config.entropy_coefficient > 0,
            )
            loss, stats = self._policy_loss(
                episodes, targets, part_rows, part, found=found, divisor=divisor
            )
            share = float(part.mask.sum()) / count
            sums["policy_loss"] += float(loss.detach())
            sums["clip_share"] += stats.clip_share * share
            sums["ratio"] += stats.ratio * share
            sums["kl"] += stats.kl * share
            if self.critic is not None and targets.returns is not None:
                worth = self._value_loss(self.critic, part, targets, part_rows, count)
                sums["value_loss"] = sums.get("value_loss", 0.0) + float(worth.detach())
                loss = loss + self.critic.coefficient * worth
            loss.backward()  # type: ignore[no-untyped-call]  # torch types it so
        return sums

    def _policy_loss(
        self,
        episodes: Episodes,
        targets: Targets,
        rows: Tensor,
        part: Batch,
        *,
        found: Logprobs,
        divisor: float,
    ) -> tuple[Tensor, PolicyStats]:
        """The clipped surrogate of `part`, the completions `rows`; the KL where it is here, and
        less the entropy where that is asked for."""
        size = part.ids.shape[1]
        old = episodes.old[rows, :size]
        own = None if targets.token_weights is None else targets.token_weights[rows, :size]
        weights = sampler_weights(old, episodes.sampler[rows, :size], part.mask)
        loss, stats = ppo_policy_loss(
            found.logprobs,
            old,
            targets.advantages[rows, :size],
            part.mask,
            clip=self.config.clip,
            weights=weights if own is None else weights * own,
            denominator=divisor,
            whole=self.config.clip_over == "completions",
        )
        if targets.kl:
            reference = episodes.reference[rows, :size]
            loss = loss + targets.kl * kl_loss(
                found.logprobs, reference, part.mask, weights=own, denominator=divisor
            )
        if self.config.entropy_coefficient:
            each = found.entropy if own is None else found.entropy * own
            loss = loss - self.config.entropy_coefficient * each.sum() / divisor
        return loss, stats

    def _value_loss(
        self, critic: ValueTerm, part: Batch, targets: Targets, rows: Tensor, count: float
    ) -> Tensor:
        if targets.returns is None or targets.values is None:
            raise ValueError("a value loss needs its targets")
        size = part.ids.shape[1]
        kept = targets.frozen
        frozen = critic.function.frozen(part) if kept is None else kept.of(rows, size)
        loss, _ = value_loss(
            critic.function(part, frozen),
            targets.values[rows, :size],
            targets.returns[rows, :size],
            part.mask,
            clip=critic.clip,
            denominator=count,
        )
        return loss
