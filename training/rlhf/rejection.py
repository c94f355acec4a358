"""The recipe `rejection`: the best of n, then fine-tuning. `python -m training.rlhf.rejection DIR`.

The policy writes n completions for each prompt, the reward model picks the best of them, and the
policy is fine-tuned on these winners as on demonstrations (Llama 2, arXiv 2307.09288, section
3.2.3; RAFT, arXiv 2304.06767): no advantages, no KL penalty. As with PPO, the judge picks the run's
result on samples along the way.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from training.configs import RejectionConfig
from training.rlhf.finite import Step
from training.rlhf.layers import Batch, make_batch
from training.rlhf.likelihood import add_gradients
from training.rlhf.models import LanguageModel
from training.rlhf.optimiser import Optimiser
from training.rlhf.picking import Picking
from training.rlhf.process import Control, Stopped, run_recipe
from training.rlhf.prompts import PROMPTS, Prompt
from training.rlhf.randomness import shuffled
from training.rlhf.rewarded import Parts, final_scores, load_parts, scored_samples, step_of
from training.rlhf.rundir import ResultMetrics, RunDirectory
from training.rlhf.schedules import cosine


@dataclass(eq=False)
class Winners:
    """The best completion of each prompt so far, as token ids, in the order of the prompts."""

    completions: list[list[int]] = field(default_factory=list)

    def tensors(self) -> dict[str, Tensor]:
        """All of them in a row, and how long each is: what a resumed run needs."""
        lengths = [len(tokens) for tokens in self.completions]
        flat = [token for tokens in self.completions for token in tokens]
        return {
            "winners.ids": torch.tensor(flat, dtype=torch.int64),
            "winners.lengths": torch.tensor(lengths, dtype=torch.int64),
        }

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Winners:
        """What `tensors` gave."""
        parts = torch.split(tensors["winners.ids"], tensors["winners.lengths"].tolist())
        return cls([part.tolist() for part in parts])


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Fine-tune a policy on its own best samples; the result is what the judge liked best."""
    config = directory.config
    if not isinstance(config, RejectionConfig):
        raise TypeError(type(config).__name__)

    # 1. Base, reward model, judge; the policy and its prompts.
    parts = load_parts(directory, config)
    optimiser = Optimiser(
        parts.policy.lm.trainable(),
        learning_rate=config.learning_rate,
        beta2=config.adam_beta2,
        epsilon=config.adam_epsilon,
        clip=config.gradient_clip,
    )
    picking = Picking(
        directory, control, config=config, policy=parts.policy, development=parts.development
    )

    # 2. Where an interrupted run stood, or a first look at what it starts from.
    state = directory.load_state()
    winners = Winners()
    if state is None:
        picking.look(0, step=0)
    else:
        winners = Winners.of(state.tensors)
        optimiser.load(state.tensors)
        picking.load(state.tensors, state.values)
    first = 0 if state is None else state.step
    count = config.batches() * config.prompts_per_batch
    per_epoch = -(-count // config.batch)
    steps = per_epoch * config.epochs
    total = config.batches() + steps

    def save(done: int) -> None:
        tensors = {**optimiser.tensors(), **picking.tensors(), **winners.tensors()}
        directory.save_state(done, tensors, picking.values())

    # 3. Sampling: n completions of each prompt, of which the reward model keeps the best.
    for number in range(first, config.batches()):
        found = add_winners(winners, config, parts, number, control)
        directory.log_metrics(number + 1, total, **found)
        if (number + 1) % config.save_every == 0 or control.stopping:
            save(number + 1)
        control.step_boundary()

    # 4. Fine-tuning on the winners: a step; stopped in the middle, it has changed nothing.
    prompts = prompts_in_order(config, parts)
    tokens = [prompt.tokens for prompt in prompts]
    for number in range(max(first - config.batches(), 0), steps):
        epoch, place = divmod(number, per_epoch)
        order = shuffled(count, config.seed, "winners", epoch)
        chosen = order[place * config.batch : (place + 1) * config.batch]
        try:
            batch = batch_of(parts.policy.lm, tokens, winners, chosen)
            loss = add_gradients(parts.policy.lm, batch, control)
        except Stopped:
            save(config.batches() + number)
            raise
        share = cosine(number, total=steps, warmup=round(config.warmup_share * steps))
        step = Step(
            number=config.batches() + number + 1, file=PROMPTS, ids=[prompts[n].id for n in chosen]
        )
        step.check(loss=loss)
        norm = optimiser.step(share, at=step)
        picking.average()
        # 5. Numbers, now and then a look, the state.
        done, last = config.batches() + number + 1, number + 1 == steps
        numbers: dict[str, float | None] = {"loss": loss, "gradient_norm": norm}
        numbers["learning_rate"] = optimiser.rate
        seen = epoch * count + place * config.batch + len(chosen)
        if picking.is_due(seen, batch=len(chosen), last=last):
            numbers |= picking.look(seen, step=done)
        directory.log_metrics(done, total, **numbers)
        if done % config.save_every == 0 or last or control.stopping:
            save(done)
        if not last:
            control.step_boundary()

    # 6. The weights that the judge liked best, within the limits, are the result.
    result = picking.publish()
    look = picking.best_look
    return {
        "episodes": count * config.samples_per_prompt,
        "winners": count,
        "picked_winner": None if look is None else look.seen,
        "reward": None if look is None else look.score,
        "prompts_cut": parts.prompts.cut,
        **result,
    }


def add_winners(
    winners: Winners, config: RejectionConfig, parts: Parts, number: int, control: Control
) -> dict[str, float | None]:
    """Sample batch `number` and add the best of each prompt; what metrics.jsonl says of it.

    The best has the highest score, less the penalty where it never ended; of equals the first.
    """
    rollout, scored = scored_samples(config, parts, number, control)
    step_of(config, parts, number).check(score=scored.scores, uncertainty=scored.spread)
    scores = final_scores(config, parts, scored, rollout.finished, control)
    groups = scores.view(-1, config.samples_per_prompt)
    best = groups.argmax(dim=1) + torch.arange(len(groups)) * config.samples_per_prompt
    winners.completions += [rollout.completion(row) for row in best.tolist()]
    return {
        "score": float(scores.mean()),
        "best_score": float(scores[best].mean()),
        "length": float(rollout.batch.mask.sum(1).float().mean()),
        "finished_share": float(rollout.finished.float().mean()),
    }


def prompts_in_order(config: RejectionConfig, parts: Parts) -> list[Prompt]:
    """The prompts of all winners: the batches' prompts one after another."""
    return [
        prompt
        for number in range(config.batches())
        for prompt, _ in parts.prompts.batch(number, config.prompts_per_batch)
    ]


def batch_of(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], winners: Winners, chosen: Sequence[int]
) -> Batch:
    """The winners `chosen`, by their numbers, each after its own prompt."""
    return make_batch(
        lm,
        [prompts[index] for index in chosen],
        [winners.completions[index] for index in chosen],
        range(len(chosen)),
    )


if __name__ == "__main__":
    sys.exit(run_recipe(main, "rejection"))
