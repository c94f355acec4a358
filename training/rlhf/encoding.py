"""Texts as batches of tokens. Knows the model's tokenizer, not what the batches are for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from training.records import Message
from training.rlhf.conversations import fit
from training.rlhf.features import FeatureRow
from training.rlhf.layers import Batch, make_batch
from training.rlhf.models import LanguageModel, encode_text
from training.rlhf.process import Control
from training.rlhf.room import at_once


def encode_prompt(lm: LanguageModel, messages: Sequence[Message], max_tokens: int) -> list[int]:
    """A conversation's tokens; a longer one loses its oldest messages (see `conversations`)."""
    return fit(lm, messages, max_tokens).ids


def encode_completion(lm: LanguageModel, row: FeatureRow, max_tokens: int) -> list[int]:
    """A completion's tokens with its end if it is finished; never none at all."""
    ids = encode_text(lm, row.text, finished=row.finished)[:max_tokens]
    return ids or [lm.eos_ids[0]]


def cut_to_fit(
    lm: LanguageModel, rows: Sequence[FeatureRow], max_tokens: int, control: Control
) -> dict[str, int]:
    """How many different prompts, and how many completions, lose something for want of room."""
    counts = Counter[str]()
    prompts = set[str]()
    for row in rows:
        control.step_boundary()
        counts["completions_cut"] += len(encode_text(lm, row.text)) > max_tokens
        prompt = json.dumps(row.messages)
        if prompt not in prompts:
            prompts.add(prompt)
            counts["prompts_cut"] += fit(lm, row.messages, max_tokens).cut
    return {name: count for name, count in counts.items() if count}


def encode_group(lm: LanguageModel, rows: Sequence[FeatureRow], max_tokens: int) -> Batch:
    """One batch of completions; those of one conversation that stand together share its prompt."""
    prompts: list[list[int]] = []
    completions, owner = [], []
    before: Sequence[Message] | None = None
    for row in rows:
        if before is None or list(row.messages) != list(before):
            prompts.append(encode_prompt(lm, row.messages, max_tokens))
            before = row.messages
        completions.append(encode_completion(lm, row, max_tokens))
        owner.append(len(prompts) - 1)
    return make_batch(lm, prompts, completions, owner)


def encoded_batches(
    lm: LanguageModel, rows: Sequence[FeatureRow], *, max_tokens: int, size: int = 32
) -> Iterator[tuple[Tensor, Batch]]:
    """All rows in order, `size` at a time: their numbers ([m] int64) and their batch."""
    size = at_once(size)
    for start in range(0, len(rows), size):
        chosen = list(range(start, min(start + size, len(rows))))
        yield torch.tensor(chosen), encode_group(lm, [rows[i] for i in chosen], max_tokens)
