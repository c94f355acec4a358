"""Demonstrations as what SFT learns: which are used, which kept back, and their tokens.

Knows nothing of losses or steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.records import Message
from training.rlhf.conversations import fit
from training.rlhf.durable import RunError
from training.rlhf.encoding import encode_completion
from training.rlhf.features import FeatureRow
from training.rlhf.models import LanguageModel
from training.rlhf.packing import Sequenced
from training.rlhf.randomness import shuffled
from training.rlhf.ranked import DEMONSTRATIONS, Demonstration


@dataclass(frozen=True)
class Example:
    """A demonstration in tokens: its completion is learned, end included, its prompt is not."""

    id: str
    """As the dataset names the demonstration; its earlier answers share it."""
    tokens: Sequenced
    task: str
    prompt_cut: bool
    """Whether the prompt lost its beginning."""
    completion_cut: bool
    """Whether the completion lost its end."""


def every_answer(items: Sequence[Demonstration]) -> list[Demonstration]:
    """Each answer within a conversation as a demonstration of its own, and the last one.

    An earlier answer is then seen exactly as the model will be asked for it. The same answer to
    the same conversation comes once, however many demonstrations go on from it.
    """
    found: dict[str, Demonstration] = {}
    for item in items:
        messages = item.row.messages
        for place, message in enumerate(messages):
            if message["role"] == "assistant" and place:
                answer = FeatureRow(list(messages[:place]), message["content"], finished=True)
                found.setdefault(repr(answer), replace(item, row=answer))
        found.setdefault(repr(item.row), item)
    return list(found.values())


def with_an_answer(items: Sequence[Demonstration]) -> list[Demonstration]:
    """Without those whose completion is nothing but white space: they would teach silence."""
    return [item for item in items if item.row.text.strip()]


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
        raise RunError("data_missing", file=DEMONSTRATIONS)
    return train, [item for item in items if str(item.row.messages) in kept_back]


def conversations(items: Sequence[Demonstration]) -> list[Sequence[Message]]:
    """What the demonstrations answer, each conversation once, in their order."""
    return list({str(item.row.messages): item.row.messages for item in items}.values())


def encode_example(lm: LanguageModel, item: Demonstration, max_tokens: int) -> Example:
    """The tokens of a demonstration: prompt and completion have at most `max_tokens` each.

    Together they never exceed what the model was made for.
    """
    most = max(1, min(max_tokens, lm.max_positions // 2))
    answer = encode_completion(lm, item.row, lm.max_positions)
    completion = answer[:most]
    prompt = fit(lm, item.row.messages, min(max_tokens, lm.max_positions - len(completion)))
    learned = [False] * len(prompt.ids) + [True] * len(completion)
    return Example(
        item.id,
        Sequenced([*prompt.ids, *completion], learned, item.weight),
        item.task,
        prompt_cut=prompt.cut,
        completion_cut=len(answer) > most,
    )
