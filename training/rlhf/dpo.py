"""The recipe `dpo`: a policy straight from rankings. `python -m training.rlhf.dpo RUN_DIR`.

Direct preference optimisation (arXiv 2305.18290): the reward that a policy stands for is
β·log π/π_ref, so the loss of a reward model (InstructGPT, eq. 1) on it trains the policy itself.
K-wise: all pairs of a ranking in one batch element, or its whole order (Plackett-Luce). As with
PPO, the judge picks the run's result, on samples along the way.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from training.configs import DpoConfig
from training.rlhf.conversations import room_for_each, room_for_prompt
from training.rlhf.development import Development
from training.rlhf.durable import RunError
from training.rlhf.encoding import cut_to_fit, encode_group
from training.rlhf.layers import hidden_states
from training.rlhf.losses import RankingStats, ipo_loss, plackett_luce_loss, ranking_loss
from training.rlhf.models import load_language_model
from training.rlhf.optimiser import Optimiser
from training.rlhf.picking import Picking
from training.rlhf.policies import Policy, start_policy
from training.rlhf.precision import choose_compute
from training.rlhf.process import Control, Stopped, run_recipe
from training.rlhf.prompts import read_prompt_set
from training.rlhf.randomness import shuffled
from training.rlhf.ranked import RankedRows, read_rankings, step_of
from training.rlhf.ranking_tables import (
    by_prompt,
    put_together,
    ranking_table,
    rows_of,
    weight_of,
)
from training.rlhf.reward_model import load_reward_model
from training.rlhf.rollouts import logprobs_from, micro_batches, narrow
from training.rlhf.rundir import ResultMetrics, RunDirectory
from training.rlhf.schedules import warmed_up

logger = logging.getLogger(__name__)


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Train a policy on rankings; the result is what the judge liked best on the way."""
    config = directory.config
    if not isinstance(config, DpoConfig):
        raise TypeError(type(config).__name__)
    compute = choose_compute(directory)

    # 1. Rankings to learn from, others to be measured on.
    data = read_rankings(directory, "train")
    held_out = read_rankings(directory, "rm_test")
    prompts = by_prompt(data.rankings)
    if not prompts:
        raise RunError("data_missing", file="data/rankings.jsonl")

    # 2. Base, judge, policy: the reference is the base, with the policy's adapter switched off.
    base = load_language_model(config.base, device=compute.device, precision=compute.precision)
    config = replace(config, max_tokens=room_for_each(base, config.max_tokens))
    oddities = data.oddities() | cut_to_fit(base, data.rows, config.max_tokens, control)
    logger.info("noticed in the data: %s", oddities or "nothing odd")
    judge = None if config.judge is None else load_reward_model(config.judge, base)
    policy = start_policy(config, base)
    optimiser = Optimiser(
        policy.lm.trainable(),
        learning_rate=config.learning_rate,
        beta2=config.adam_beta2,
        epsilon=config.adam_epsilon,
        clip=config.gradient_clip,
    )
    looks = read_prompt_set(
        directory,
        base,
        seed=config.seed,
        looks=config.development_samples,
        max_tokens=room_for_prompt(
            base, most=config.max_prompt_tokens, new_tokens=config.max_new_tokens
        ),
    )
    development = Development(config, policy, looks.development, None, judge)
    picking = Picking(directory, control, config=config, policy=policy, development=development)

    # 3. Where an interrupted run stood, or a first look at what it starts from.
    state = directory.load_state()
    first = 0 if state is None else state.step
    if state is None:
        picking.look(0, step=0)
    else:
        optimiser.load(state.tensors)
        picking.load(state.tensors, state.values)
    per_epoch = math.ceil(len(prompts) / config.batch)
    total = per_epoch * config.epochs
    for number in range(first, total):
        # 4. A step on all rankings of some prompts; stopped in the middle, it has changed nothing.
        epoch, place = divmod(number, per_epoch)
        order = shuffled(len(prompts), config.seed, "dpo", epoch)
        chosen = [prompts[n] for n in order[place * config.batch : (place + 1) * config.batch]]
        try:
            found = add_gradients(policy, data, chosen, config, control)
        except Stopped:
            directory.save_state(
                number, {**optimiser.tensors(), **picking.tensors()}, picking.values()
            )
            raise
        share = warmed_up(number, warmup=config.warmup_steps)
        step = step_of(number + 1, data, chosen)
        step.check(loss=found.loss)
        norm = optimiser.step(share, at=step)
        picking.average()
        # 5. Numbers, now and then a look and the held-out rankings, the state.
        done, last = number + 1, number + 1 == total
        numbers: dict[str, float | None] = {**found._asdict(), "gradient_norm": norm}
        numbers["learning_rate"] = optimiser.rate
        seen = min(done * config.batch, epoch * len(prompts) + (place + 1) * config.batch)
        if picking.is_due(seen, batch=config.batch, last=last):
            numbers |= picking.look(seen, step=done)
            numbers["held_out_accuracy"] = accuracy(policy, held_out, config, control)
        directory.log_metrics(done, total, **numbers)
        if done % config.save_every == 0 or last or control.stopping:
            directory.save_state(
                done, {**optimiser.tensors(), **picking.tensors()}, picking.values()
            )
        if not last:
            control.step_boundary()

    # 6. The weights that the judge liked best, within the limits, are the result.
    result = picking.publish()
    look = picking.best_look
    return {
        "rankings": len(data.rankings),
        **oddities,
        "picked_prompt": None if look is None else look.seen,
        "held_out_accuracy": accuracy(policy, held_out, config, control),
        **result,
    }


class StepStats(NamedTuple):
    """loss: nats a pair, or a place. accuracy: of the pairs, by the implicit reward, before."""

    loss: float
    accuracy: float


def add_gradients(
    policy: Policy,
    data: RankedRows,
    prompts: Sequence[Sequence[int]],
    config: DpoConfig,
    control: Control,
) -> StepStats:
    """Add up the gradients of one batch: `prompts` are the numbers of each one's rankings."""
    total = weight_of(data.rankings.subset([number for own in prompts for number in own]))
    loss, right, pairs = 0.0, 0.0, 0
    for part in put_together(data.rankings, prompts):
        control.step_boundary()
        value, stats = _loss(policy, data, part, config)
        share = weight_of(data.rankings.subset(part)) / max(total, 1e-12)
        if not share:
            continue  # all of them are ties: nothing to learn
        (value * share).backward()  # type: ignore[no-untyped-call]  # torch types it so
        loss += float(value.detach()) * share
        right, pairs = right + stats.accuracy * stats.pairs, pairs + stats.pairs
    return StepStats(loss, right / max(pairs, 1))


def accuracy(policy: Policy, data: RankedRows, config: DpoConfig, control: Control) -> float | None:
    """The share of the untied pairs that the implicit reward orders as the labelers did."""
    right, pairs = 0.0, 0
    for part in put_together(data.rankings, by_prompt(data.rankings)):
        control.step_boundary()
        with torch.no_grad():
            _, stats = _loss(policy, data, part, config)
        right, pairs = right + stats.accuracy * stats.pairs, pairs + stats.pairs
    return right / pairs if pairs else None


def _loss(
    policy: Policy, data: RankedRows, chosen: Sequence[int], config: DpoConfig
) -> tuple[Tensor, RankingStats]:
    """Of the rankings `chosen`, by their numbers."""
    rankings = data.rankings.subset(chosen)
    rows = rows_of(rankings)
    ratios = log_ratios(policy, data, rows, config)
    table = ranking_table(rankings, rows, policy.lm.device)
    own = ratios[table.places]
    if config.loss == "ipo":
        return ipo_loss(
            own, table.ranks, table.mask, table.weights, tau=config.beta, places=table.places
        )
    rewards = config.beta * own
    if config.loss == "plackett_luce":
        return plackett_luce_loss(
            rewards, table.ranks, table.mask, table.weights, places=table.places
        )
    return ranking_loss(
        rewards,
        table.ranks,
        table.mask,
        table.weights,
        places=table.places,
        smoothing=config.label_smoothing,
    )


def log_ratios(policy: Policy, data: RankedRows, rows: Sequence[int], config: DpoConfig) -> Tensor:
    """log π − log π_ref of whole completions, in nats: (rows,). Only π's carries a gradient.

    What the policy shares with its reference is computed once for both.
    """
    lm, reference, first = policy.lm, policy.reference, policy.first
    batch = encode_group(lm, [data.rows[row] for row in rows], config.max_tokens)
    parts = []
    for some in micro_batches(batch, torch.arange(len(rows), device=lm.device)):
        part, _ = narrow(batch, None, some)
        with torch.no_grad():
            shared = hidden_states(reference, part, [first])[first] if first else None
            before = logprobs_from(reference, part, shared, first, config.temperature)
        now = logprobs_from(lm, part, shared, first, config.temperature)
        parts.append((now.logprobs - before.logprobs).sum(1))
    return torch.cat(parts)


if __name__ == "__main__":
    sys.exit(run_recipe(main, "dpo"))
