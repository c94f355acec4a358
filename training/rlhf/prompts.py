"""The prompts and texts of a run directory as tokens, in the order in which a run uses them.

Knows nothing of what is done with them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from training.records import Split
from training.rlhf.conversations import fit
from training.rlhf.durable import RunError
from training.rlhf.groups import groups_of
from training.rlhf.models import LanguageModel, encode_text
from training.rlhf.randomness import shuffled
from training.rlhf.ranked import is_conversation
from training.rlhf.rundir import RunDirectory

logger = logging.getLogger(__name__)
T = TypeVar("T")
PROMPTS = "data/prompts.jsonl"
FEWEST_DEVELOPMENT = 8
"""With fewer rm_test prompts than this, looks also use prompts that are then not trained on."""


@dataclass(frozen=True)
class Prompt:
    """A prompt's id, its tokens, and the text of its last turn, for people to read."""

    id: str
    tokens: list[int]
    text: str
    group: str = ""
    """With which prompts it belongs together (`training.rlhf.groups`)."""
    cut: bool = False
    """Whether it lost its oldest messages for want of room."""


@dataclass(frozen=True)
class PromptSet:
    """Prompts to roll out on, and others for looks along the run."""

    train: list[Prompt]
    development: list[Prompt]
    seed: int

    @property
    def cut(self) -> int:
        """How many of them all lost their oldest messages."""
        return sum(prompt.cut for prompt in [*self.train, *self.development])

    def batch(self, number: int, size: int) -> Iterator[tuple[Prompt, int]]:
        """Batch `number` of `size` prompts, each with a key that no other place of the run has.

        All prompts come once before any comes again; each pass has an order of its own.
        """
        places = range(number * size, (number + 1) * size)
        chosen = in_turn(self.train, number * size, size, self.seed, "prompts")
        yield from zip(chosen, places, strict=True)


def read_prompts(
    directory: RunDirectory, lm: LanguageModel, split: Split, max_tokens: int
) -> list[Prompt]:
    """The prompts of one split; how many had to be cut to fit is said in the log.

    Raises RunError: data_missing, data_invalid.
    """
    used, found = [], []
    for number, row in enumerate(directory.rows("prompts"), start=1):
        if row.get("split") != split:
            continue
        if not is_conversation(row.get("prompt")) or "id" not in row:
            raise RunError(
                "data_invalid",
                file=PROMPTS,
                line=number,
                problem="needs an id and a prompt of messages with role and content",
            )
        ids, was_cut = fit(lm, row["prompt"], max_tokens)
        used.append(row)
        text = row["prompt"][-1]["content"]
        found.append(Prompt(str(row["id"]), ids, text, cut=was_cut))
    if cut := sum(prompt.cut for prompt in found):
        logger.info("%d of %d prompts (%s) lost their oldest messages", cut, len(found), split)
    groups = groups_of(used)
    return [replace(prompt, group=group) for prompt, group in zip(found, groups, strict=True)]


def read_prompt_set(
    directory: RunDirectory, lm: LanguageModel, *, seed: int, looks: int, max_tokens: int
) -> PromptSet:
    """Training prompts of the run and at most `looks` for development (split rm_test).

    Raises RunError as `read_prompts`, and data_missing where there is no prompt to train on.
    """
    train = read_prompts(directory, lm, "train", max_tokens)
    kept = read_prompts(directory, lm, "rm_test", max_tokens)
    development = [kept[index] for index in shuffled(len(kept), seed, "development")[:looks]]
    short = FEWEST_DEVELOPMENT - len(development)
    if short > 0 and len(train) > 1:
        cut = min(short, len(train) // 2)
        train, development = train[:-cut], development + train[-cut:]
    if not train or not development:
        raise RunError("data_missing", file=PROMPTS)
    return PromptSet(train, development, seed)


def read_texts(directory: RunDirectory, lm: LanguageModel, max_tokens: int) -> list[list[int]]:
    """Tokens of the training texts of data/texts.jsonl, those of one token left out.

    Raises RunError.
    """
    found = []
    for number, row in enumerate(directory.rows("texts"), start=1):
        if not isinstance(row.get("text"), str):
            raise RunError(
                "data_invalid", file="data/texts.jsonl", line=number, problem="needs a text"
            )
        if row.get("split", "train") != "train":
            continue  # kept back: what is measured on it must not have learned from it
        tokens = encode_text(lm, row["text"])[:max_tokens]
        if len(tokens) > 1:
            found.append(tokens)
    if not found:
        raise RunError("data_missing", file="data/texts.jsonl")
    return found


def in_turn(items: Sequence[T], start: int, count: int, seed: int, key: str) -> list[T]:
    """`count` items from place `start` of an endless repetition of them, each lap shuffled anew."""
    orders: dict[int, list[int]] = {}
    chosen = []
    for place in range(start, start + count):
        lap, index = divmod(place, len(items))
        if lap not in orders:
            orders[lap] = shuffled(len(items), seed, key, lap)
        chosen.append(items[orders[lap][index]])
    return chosen
