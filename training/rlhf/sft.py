"""The recipe `sft`: demonstrations in, a whole model out. `python -m training.rlhf.sft RUN_DIR`.

Supervised fine-tuning (InstructGPT, appendix C.1): the loss is on the completion's tokens only, its
end included, the learning rate decays by a cosine to a tenth, and a reward model's score picks the
checkpoint where there is one. The result is a base like any other.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from training.configs import SftConfig
from training.records import Message
from training.rlhf.decoding import sample
from training.rlhf.demonstrations import (
    Example,
    conversations,
    encode_example,
    every_answer,
    split_demonstrations,
    with_an_answer,
)
from training.rlhf.encoding import encode_prompt
from training.rlhf.epoch_picking import EpochPicking, picks_by
from training.rlhf.features import FeatureRow
from training.rlhf.finite import Step
from training.rlhf.looks import SHOWN
from training.rlhf.losses import token_loss
from training.rlhf.mixture import epoch_order
from training.rlhf.models import (
    LanguageModel,
    add_lora,
    decode,
    load_language_model,
    save_model,
    unfreeze,
)
from training.rlhf.optimiser import Optimiser
from training.rlhf.packing import Packed, pack_all, packed_logprobs, parts
from training.rlhf.precision import Compute, choose_compute, mixed
from training.rlhf.process import Control, Stopped, run_recipe
from training.rlhf.randomness import generator, uniforms
from training.rlhf.ranked import DEMONSTRATIONS, read_demonstrations
from training.rlhf.reward_model import RewardModel, load_reward_model
from training.rlhf.rundir import ResultMetrics, RunDirectory
from training.rlhf.schedules import cosine

VALIDATION_BATCH = 16
"""Demonstrations that are measured at a time."""
ANSWER_TOKENS = 128
"""Of an answer that people are given to read or a reward model to score, at most."""
SCORED = 64
"""Conversations whose answers a reward model scores after each epoch, at most."""

logger = logging.getLogger(__name__)


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Fine-tune the base on what people answered."""
    config = directory.config
    if not isinstance(config, SftConfig):
        raise TypeError(type(config).__name__)
    compute = choose_compute(directory)

    # 1. Demonstrations, a share of them kept back; those of a prompt all on one side.
    read = read_demonstrations(directory)
    answered = with_an_answer(read)
    learn, keep = split_demonstrations(answered, config.validation_share, config.seed)
    if config.turns == "all":
        learn, keep = (with_an_answer(every_answer(side)) for side in (learn, keep))

    # 2. The model, with LoRA or with all its weights trainable, and who picks its best epoch.
    lm = start_model(config, compute)
    train = [encode_example(lm, item, config.max_tokens) for item in learn]
    held_out = [encode_example(lm, item, config.max_tokens) for item in keep]
    report = what_was_cut(lm, [*train, *held_out], empty=len(read) - len(answered))
    optimiser = Optimiser(
        lm.trainable(),
        learning_rate=config.learning_rate,
        beta2=0.95,
        clip=config.gradient_clip,
    )
    picking = EpochPicking(lm.trainable(), picks_by(config, held_out=bool(held_out)))
    reward = load_reward(config, lm, compute) if picking.by == "reward" else None

    # 3. Where an interrupted run stood, or what the model answers before it has learned anything.
    state = directory.load_state()
    asked = conversations(keep or learn)
    if state is None:
        before = [text for text, _ in answers(lm, asked[:SHOWN], config, control)]
        loss = float("nan")
    else:
        optimiser.load(state.tensors)
        picking.load(state.tensors, state.values)
        before, loss = list(state.values["before"]), float(state.values["loss"])

    def save(step: int) -> None:
        tensors = {**optimiser.tensors(), **picking.tensors()}
        directory.save_state(step, tensors, {"before": before, "loss": loss, **picking.values()})

    # 4. Steps: the mean loss of a batch's completion tokens, one clipped Adam step.
    per_epoch = -(-len(train) // config.batch)
    total = per_epoch * config.epochs
    warmup = round(config.warmup_share * total)
    tasks = [example.task for example in train]
    for number in range(0 if state is None else state.step, total):
        epoch, place = divmod(number, per_epoch)
        order = epoch_order(tasks, config, epoch)
        chosen = order[place * config.batch : (place + 1) * config.batch]
        try:
            loss = add_gradients(lm, [train[n] for n in chosen], compute, control)
        except Stopped:
            save(number)
            raise
        share = cosine(number, total=total, warmup=warmup)
        step = Step(number=number + 1, file=DEMONSTRATIONS, ids=[train[n].id for n in chosen])
        step.check(loss=loss)
        norm = optimiser.step(share, at=step)
        last = number + 1 == total
        numbers: dict[str, float | None] = {"loss": loss, "gradient_norm": norm}
        numbers["learning_rate"] = optimiser.rate
        if place + 1 == per_epoch:
            looked: dict[str, float | None] = {}
            if held_out:
                looked["validation_loss"] = mean_loss(lm, held_out, compute, control)
            if reward is not None:
                looked["reward_score"] = mean_score(lm, asked, reward, config, control)
            picking.offer(epoch + 1, looked)
            numbers |= looked
        directory.log_metrics(number + 1, total, **numbers)
        if (number + 1) % config.save_every == 0 or last:
            save(number + 1)

    # 5. The best epoch's weights; a few of their answers beside those before, for people to read.
    picking.put_back()
    after = [text for text, _ in answers(lm, asked[:SHOWN], config, control)]
    directory.log_samples(
        [
            {"step": total, "prompt": messages[-1]["content"], "before": old, "after": new}
            for messages, old, new in zip(asked, before, after, strict=False)
        ]
    )

    # 6. The result: a whole model with its tokenizer, the adapter merged in.
    folder = directory.checkpoint_folder()
    save_model(lm, folder)
    directory.publish_checkpoint(folder)
    return {
        "loss": loss,
        "validation_loss": None,
        **picking.numbers,
        "picked_epoch": picking.epoch,
        "demonstrations": len(train) + len(held_out),
        **report,
    }


def start_model(config: SftConfig, compute: Compute) -> LanguageModel:
    """The base with a fresh adapter; or with all its weights trainable, then in float32."""
    if not config.lora_rank:
        lm = load_language_model(config.base, device=compute.device, precision="float32")
        unfreeze(lm)
        return lm
    lm = load_language_model(config.base, device=compute.device, precision=compute.precision)
    random = generator(config.seed, "sft")
    return add_lora(lm, config.lora_rank, config.lora_scale, config.lora_top_share, random)


def load_reward(config: SftConfig, lm: LanguageModel, compute: Compute) -> RewardModel:
    """The reward model on the base as it was; a copy of it where all weights are trained."""
    base = lm.with_adapter(None)
    if not config.lora_rank:
        base = load_language_model(config.base, device=compute.device, precision=compute.precision)
    return load_reward_model(str(config.reward), base)


def what_was_cut(
    lm: LanguageModel, examples: Sequence[Example], *, empty: int
) -> dict[str, float | int | str | None]:
    """How many demonstrations could not be learned as they were; also said in the log."""
    prompts = sum(example.prompt_cut for example in examples)
    completions = sum(example.completion_cut for example in examples)
    logger.info(
        "%d prompts lost their oldest messages, %d completions their end; "
        "%d without a text were left out",
        *(prompts, completions, empty),
    )
    return {
        "prompts_cut": prompts,
        "completions_cut": completions,
        "empty_completions": empty,
        "plain_template": int(lm.has_plain_template),
    }


def answers(
    lm: LanguageModel, prompts: Sequence[Sequence[Message]], config: SftConfig, control: Control
) -> list[tuple[str, bool]]:
    """One sample of the model as it is now for each conversation, and whether it ended by itself.

    With the same random numbers each time.
    """
    tokens = min(ANSWER_TOKENS, lm.max_positions // 2)
    room = min(config.max_tokens, lm.max_positions - tokens)
    rollout = sample(
        lm,
        [encode_prompt(lm, messages, room) for messages in prompts],
        samples=1,
        max_new_tokens=tokens,
        temperature=1.0,
        uniforms=uniforms(config.seed, 0, range(len(prompts)), 1, tokens),
        control=control,
    )
    return [
        (decode(lm, rollout.completion(row)), bool(rollout.finished[row]))
        for row in range(len(prompts))
    ]


def mean_score(
    lm: LanguageModel,
    prompts: Sequence[Sequence[Message]],
    reward: RewardModel,
    config: SftConfig,
    control: Control,
) -> float:
    """The reward model's mean score of the model's answers to a few conversations."""
    asked = prompts[:SCORED]
    rows = [
        FeatureRow(messages, text, finished)
        for messages, (text, finished) in zip(
            asked, answers(lm, asked, config, control), strict=True
        )
    ]
    return float(reward.score(rows, control=control).mean())


def add_gradients(
    lm: LanguageModel, examples: Sequence[Example], compute: Compute, control: Control
) -> float:
    """Add up the gradients of one batch, some rows at a time. Its loss in nats a token."""
    packed = pack_all(lm, [example.tokens for example in examples])
    count = float(packed.weights.sum())
    total = 0.0
    for part in parts(packed):
        control.step_boundary()
        loss = _loss(lm, part, compute, count)
        loss.backward()  # type: ignore[no-untyped-call]  # torch types it so
        total += float(loss.detach())
    return total


def mean_loss(
    lm: LanguageModel, examples: Sequence[Example], compute: Compute, control: Control
) -> float:
    """The loss of demonstrations in nats a token, without learning from them."""
    total = tokens = 0.0
    for start in range(0, len(examples), VALIDATION_BATCH):
        some = examples[start : start + VALIDATION_BATCH]
        packed = pack_all(lm, [example.tokens for example in some])
        with torch.no_grad():
            for part in parts(packed):
                control.step_boundary()
                total += float(_loss(lm, part, compute, 1.0))
        tokens += float(packed.weights.sum())
    return total / tokens


def _loss(lm: LanguageModel, part: Packed, compute: Compute, count: float) -> Tensor:
    """The weighted loss of a batch's part, divided by the weighted tokens of the batch."""
    with mixed(compute, all_trained=lm.adapter is None):
        logprobs = packed_logprobs(lm, part)
    return token_loss(logprobs, part.learned, part.weights, denominator=count)


if __name__ == "__main__":
    sys.exit(run_recipe(main, "sft"))
