"""The recipe `sft`: demonstrations in, a whole model out. `python -m training.rlhf.sft RUN_DIR`.

Supervised fine-tuning (InstructGPT, appendix C.1): the loss is on the completion's tokens only, its
end included, the learning rate decays by a cosine to a tenth. The result is a base like any other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from training.configs import SftConfig
from training.records import Message
from training.rlhf.decoding import sample
from training.rlhf.encoding import encode_group, encode_prompt
from training.rlhf.layers import Batch
from training.rlhf.likelihood import add_gradients, rows_loss, weighted_tokens
from training.rlhf.looks import SHOWN
from training.rlhf.models import (
    LanguageModel,
    add_lora,
    decode,
    load_language_model,
    save_model,
    unfreeze,
)
from training.rlhf.optimiser import Optimiser
from training.rlhf.precision import choose_compute
from training.rlhf.process import Control, Stopped, run_recipe
from training.rlhf.randomness import generator, shuffled, uniforms
from training.rlhf.ranked import Demonstration, read_demonstrations
from training.rlhf.rollouts import micro_batches
from training.rlhf.rundir import ResultMetrics, RunDirectory, RunError
from training.rlhf.schedules import cosine

VALIDATION_BATCH = 16
"""Demonstrations that are measured at a time."""
SHOWN_TOKENS = 128
"""Of an answer that people are given to read, at most."""


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Fine-tune the base on what people answered."""
    config = directory.config
    if not isinstance(config, SftConfig):
        raise TypeError(type(config).__name__)
    compute = choose_compute(directory)

    # 1. Demonstrations, a share of them kept back; those of a prompt all on one side.
    train, held_out = split_demonstrations(
        read_demonstrations(directory), config.validation_share, config.seed
    )

    # 2. The model, with LoRA or with all its weights trainable, and where a run stood.
    lm = load_language_model(config.base, device=compute.device, precision=compute.precision)
    if config.lora_rank:
        random = generator(config.seed, "sft")
        lm = add_lora(lm, config.lora_rank, config.lora_scale, config.lora_top_share, random)
    else:
        unfreeze(lm)
    optimiser = Optimiser(
        lm.trainable(),
        learning_rate=config.learning_rate,
        beta2=0.95,
        clip=config.gradient_clip,
    )
    state = directory.load_state()
    shown = conversations(held_out or train)[:SHOWN]
    if state is None:
        before = answers(lm, shown, config, control)
    else:
        optimiser.load(state.tensors)
        before = list(state.values["before"])
    per_epoch = -(-len(train) // config.batch)
    total = per_epoch * config.epochs
    warmup = round(config.warmup_share * total)

    # 3. Steps: the mean loss of a batch's completion tokens, one clipped Adam step.
    loss = float("nan")
    first = state.step if state is not None else 0
    for number in range(first, total):
        epoch, place = divmod(number, per_epoch)
        order = shuffled(len(train), config.seed, "sft", epoch)
        chosen = order[place * config.batch : (place + 1) * config.batch]
        try:
            batch, weights = _encode(lm, [train[index] for index in chosen], config)
            loss = add_gradients(lm, batch, control, weights=weights)
        except Stopped:
            directory.save_state(number, optimiser.tensors(), {"before": before})
            raise
        share = cosine(number, total=total, warmup=warmup)
        norm = optimiser.step(share, number=number + 1)
        last = number + 1 == total
        numbers: dict[str, float | None] = {"loss": loss, "gradient_norm": norm}
        if held_out and (place + 1 == per_epoch or last):
            numbers["validation_loss"] = mean_loss(lm, held_out, config, control)
        directory.log_metrics(number + 1, total, **numbers)
        if (number + 1) % config.save_every == 0 or last:
            values = {"before": before, "loss": loss}
            directory.save_state(number + 1, optimiser.tensors(), values)

    # 4. A few answers before and after, for people to read.
    after = answers(lm, shown, config, control)
    directory.log_samples(
        [
            {"step": total, "prompt": messages[-1]["content"], "before": old, "after": new}
            for messages, old, new in zip(shown, before, after, strict=True)
        ]
    )

    # 5. The result: a whole model with its tokenizer, the adapter merged in.
    folder = directory.checkpoint_folder()
    save_model(lm, folder)
    directory.publish_checkpoint(folder)
    if first == total and state is not None:
        loss = float(state.values["loss"])
    return {
        "loss": loss,
        "validation_loss": mean_loss(lm, held_out, config, control) if held_out else None,
        "demonstrations": len(train) + len(held_out),
    }


def split_demonstrations(
    items: Sequence[Demonstration], share: float, seed: int
) -> tuple[list[Demonstration], list[Demonstration]]:
    """Demonstrations to learn from and to measure on; a prompt's are never on both sides.

    Raises RunError("data_missing") without any to learn from.
    """
    prompts = [str(messages) for messages in conversations(items)]
    order = shuffled(len(prompts), seed, "validation")
    kept_back = {prompts[index] for index in order[: int(share * len(prompts))]}
    train = [item for item in items if str(item.row.messages) not in kept_back]
    if not train:
        raise RunError("data_missing", file="data/demonstrations.jsonl")
    return train, [item for item in items if str(item.row.messages) in kept_back]


def conversations(items: Sequence[Demonstration]) -> list[Sequence[Message]]:
    """What the demonstrations answer, each conversation once, in their order."""
    return list({str(item.row.messages): item.row.messages for item in items}.values())


def answers(
    lm: LanguageModel, prompts: Sequence[Sequence[Message]], config: SftConfig, control: Control
) -> list[str]:
    """One sample of the model as it is now for each conversation; with the same random numbers."""
    rollout = sample(
        lm,
        [encode_prompt(lm, messages, config.max_tokens) for messages in prompts],
        samples=1,
        max_new_tokens=SHOWN_TOKENS,
        temperature=1.0,
        uniforms=uniforms(config.seed, 0, range(len(prompts)), 1, SHOWN_TOKENS),
        control=control,
    )
    return [decode(lm, rollout.completion(row)) for row in range(len(prompts))]


def mean_loss(
    lm: LanguageModel, items: Sequence[Demonstration], config: SftConfig, control: Control
) -> float:
    """The loss of demonstrations in nats a token, without learning from them."""
    total = tokens = 0.0
    for start in range(0, len(items), VALIDATION_BATCH):
        control.step_boundary()
        batch, weights = _encode(lm, items[start : start + VALIDATION_BATCH], config)
        with torch.no_grad():
            for rows in micro_batches(batch, torch.arange(len(weights), device=lm.device)):
                total += float(rows_loss(lm, batch, rows, weights, 1.0))
        tokens += weighted_tokens(batch, weights)
    return total / tokens


def _encode(
    lm: LanguageModel, items: Sequence[Demonstration], config: SftConfig
) -> tuple[Batch, Tensor]:
    """A batch and its label weights, (n,)."""
    batch = encode_group(lm, [item.row for item in items], config.max_tokens)
    return batch, torch.tensor([item.weight for item in items], device=lm.device)


if __name__ == "__main__":
    sys.exit(run_recipe(main, "sft"))
