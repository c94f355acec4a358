"""The recipe `pretrain`: texts in, a base out. `python -m training.rlhf.pretrain RUN_DIR`.

The next token of each text, from random weights or from a model that is there (GPT, Radford et al.
2018, eq. 1). Texts are packed into rows without seeing each other.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Sequence
from itertools import islice

import torch

from training.configs import PretrainConfig
from training.records import SampleRow
from training.rlhf.corpus import Corpus, Pieces, read_corpus, training_texts
from training.rlhf.decoding import sample
from training.rlhf.finite import Step
from training.rlhf.looks import SHOWN
from training.rlhf.losses import token_loss
from training.rlhf.models import (
    LanguageModel,
    decode,
    load_language_model,
    save_model,
    unfreeze,
)
from training.rlhf.optimiser import Optimiser
from training.rlhf.packing import (
    MICRO_BATCH_TOKENS,
    best_fit,
    pack,
    packed_logprobs,
    parts,
)
from training.rlhf.precision import Compute, choose_compute, mixed
from training.rlhf.process import Control, Stopped, run_recipe
from training.rlhf.randomness import shuffled, uniforms
from training.rlhf.room import at_once
from training.rlhf.rundir import ResultMetrics, RunDirectory
from training.rlhf.schedules import cosine
from training.rlhf.scratch import scratch_model

BEGINNING, SHOWN_TOKENS = 16, 64
"""Tokens of a text that the model is shown, and that it goes on with, for people to read."""


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Learn the texts, token by token."""
    config = directory.config
    if not isinstance(config, PretrainConfig):
        raise TypeError(type(config).__name__)
    compute = choose_compute(directory)

    # 1. The model to begin with, all of its weights trainable, in float32.
    lm = start_model(directory, config, compute)
    optimiser = Optimiser(
        lm.trainable(),
        learning_rate=config.learning_rate,
        beta2=config.adam_beta2,
        clip=config.gradient_clip,
        weight_decay=config.weight_decay,
    )

    # 2. Texts as pieces that fit a row; some texts are kept back.
    train, held_out = read_corpus(directory, lm, share=config.validation_share, seed=config.seed)
    window = min(config.window, lm.max_positions)
    pieces = train.pieces(window)
    per_epoch = math.ceil(len(epoch_rows(pieces.lengths, window, config.seed, 0)) / config.batch)
    total = per_epoch * config.epochs

    # 3. Where an interrupted run stood, or what the model writes before it has learned anything.
    state = directory.load_state()
    beginnings = first_tokens(held_out, train)
    if state is None:
        before = continuations(lm, beginnings, config, control)
    else:
        optimiser.load(state.tensors)
        before = list(state.values["before"])
    loss = float("nan") if state is None else float(state.values["loss"])

    # 4. Steps: the mean loss of a batch's tokens, one clipped Adam step.
    warmup = round(config.warmup_share * total)
    rows, epoch_of_rows = [], -1
    for number in range(0 if state is None else state.step, total):
        started = time.monotonic()
        epoch, place = divmod(number, per_epoch)
        if epoch != epoch_of_rows:
            rows, epoch_of_rows = epoch_rows(pieces.lengths, window, config.seed, epoch), epoch
        chosen = rows[place * config.batch : (place + 1) * config.batch]
        try:
            loss = add_gradients(lm, pieces, chosen, compute, control)
        except Stopped:
            directory.save_state(number, optimiser.tensors(), {"before": before, "loss": loss})
            raise
        share = cosine(number, total=total, warmup=warmup)
        step = Step(number=number + 1)
        step.check(loss=loss)
        norm = optimiser.step(share, at=step)
        done, last = number + 1, number + 1 == total
        numbers: dict[str, float | None] = {
            "loss": loss,
            "gradient_norm": norm,
            "learning_rate": optimiser.rate,
            "seconds_step": round(time.monotonic() - started, 3),
        }
        if held_out.ends and (done % config.evaluate_every == 0 or last):
            numbers["validation_loss"] = mean_loss(lm, held_out, window, compute, control)
        directory.log_metrics(done, total, **numbers)
        if done % config.save_every == 0 or last:
            directory.save_state(done, optimiser.tensors(), {"before": before, "loss": loss})

    # 5. How the same beginnings go on now, for people to read; and the whole model.
    after = continuations(lm, beginnings, config, control)
    directory.log_samples(shown(lm, beginnings, before, after, total))
    folder = directory.checkpoint_folder()
    save_model(lm, folder)
    directory.publish_checkpoint(folder)
    found = mean_loss(lm, held_out, window, compute, control) if held_out.ends else None
    shutil.rmtree(directory.path / "start", ignore_errors=True)
    return {
        "loss": loss,
        "validation_loss": found,
        "perplexity": None if found is None else math.exp(min(found, 700.0)),
        "bits_per_byte": None if found is None else bits_per_byte(found, held_out),
        "texts": len(train.ends) + len(held_out.ends),
        "empty_texts": train.empty + held_out.empty,
        "tokens": len(train.tokens),
        "vocabulary": len(lm.head),
        "parameters": sum(value.numel() for value in lm.trainable().values()),
    }


def start_model(directory: RunDirectory, config: PretrainConfig, compute: Compute) -> LanguageModel:
    """The base, or one from scratch with a tokenizer of the texts to learn; all weights trainable.

    Raises RunError as loading and reading do.
    """
    base = config.base
    if config.start == "scratch":
        texts = training_texts(directory, share=config.validation_share, seed=config.seed)
        base = str(scratch_model(directory.path / "start", config, texts))
    lm = load_language_model(base, device=compute.device, precision="float32")
    unfreeze(lm)
    return lm


def epoch_rows(lengths: Sequence[int], window: int, seed: int, epoch: int) -> list[list[int]]:
    """The numbers of the pieces in each row, in the order of this epoch.

    Every piece comes once an epoch, in other company each time; all epochs have as many rows.
    """
    order = shuffled(len(lengths), seed, "pretrain", epoch)
    rows = best_fit([lengths[number] for number in order], window)
    places = shuffled(len(rows), seed, "pretrain rows", epoch)
    return [[order[n] for n in rows[place]] for place in places]


def add_gradients(
    lm: LanguageModel,
    pieces: Pieces,
    rows: Sequence[Sequence[int]],
    compute: Compute,
    control: Control,
) -> float:
    """Add up the gradients of some rows, a few at a time. Their loss in nats a token."""
    packed = pack(lm, pieces.sequences(number for row in rows for number in row), rows)
    count = float(packed.learned.sum())
    loss = 0.0
    for part in parts(packed):
        control.step_boundary()
        with mixed(compute):
            own = token_loss(packed_logprobs(lm, part), part.learned, denominator=count)
        own.backward()  # type: ignore[no-untyped-call]  # torch types it so
        loss += float(own.detach())
    return loss


def mean_loss(
    lm: LanguageModel, corpus: Corpus, window: int, compute: Compute, control: Control
) -> float:
    """The loss of texts in nats a token, without learning from them."""
    pieces = corpus.pieces(window)
    rows = best_fit(pieces.lengths, window)
    together = max(1, at_once(MICRO_BATCH_TOKENS) // window)
    total, count = 0.0, 0
    for start in range(0, len(rows), together):
        control.step_boundary()
        own = rows[start : start + together]
        packed = pack(lm, pieces.sequences(number for row in own for number in row), own)
        with torch.no_grad(), mixed(compute):
            logprobs = packed_logprobs(lm, packed)
        total += float(token_loss(logprobs, packed.learned, denominator=1.0))
        count += int(packed.learned.sum())
    return total / max(1, count)


def bits_per_byte(loss: float, corpus: Corpus) -> float:
    """A loss in nats a token as bits for each byte of the texts: comparable across tokenizers.

    A text's first token, which nothing predicts, has no loss.
    """
    learned = len(corpus.tokens) - len(corpus.ends)
    return loss * learned / math.log(2) / max(1, corpus.size)


def first_tokens(*corpora: Corpus) -> list[list[int]]:
    """The beginnings of a few texts: half of each, at most BEGINNING tokens."""
    every = ((corpus, number) for corpus in corpora for number in range(len(corpus.ends)))
    texts = [corpus.text(number) for corpus, number in islice(every, SHOWN)]
    return [ids[: max(1, min(BEGINNING, len(ids) // 2))] for ids in texts]


def continuations(
    lm: LanguageModel, beginnings: list[list[int]], config: PretrainConfig, control: Control
) -> list[str]:
    """How the model goes on with each beginning; with the same random numbers each time."""
    tokens = max(1, min(SHOWN_TOKENS, lm.max_positions - BEGINNING))
    rollout = sample(
        lm,
        beginnings,
        samples=1,
        max_new_tokens=tokens,
        temperature=1.0,
        uniforms=uniforms(config.seed, 0, range(len(beginnings)), 1, tokens),
        control=control,
    )
    return [decode(lm, rollout.completion(row)) for row in range(len(beginnings))]


def shown(
    lm: LanguageModel,
    beginnings: list[list[int]],
    before: list[str],
    after: list[str],
    step: int,
) -> list[SampleRow]:
    """Rows of samples.jsonl."""
    return [
        {"step": step, "prompt": decode(lm, ids), "before": old, "after": new}
        for ids, old, new in zip(beginnings, before, after, strict=True)
    ]


if __name__ == "__main__":
    sys.exit(run_recipe(main, "pretrain"))
