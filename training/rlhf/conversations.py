"""A conversation as tokens that fit a window: a longer one loses its oldest messages, whole.

Knows chat templates through `models.encode_chat`; nothing of what the tokens are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from training.records import Message
from training.rlhf.durable import RunError
from training.rlhf.models import LanguageModel, encode_chat, encode_text


class Fitted(NamedTuple):
    """A conversation's tokens, and whether something of it did not fit."""

    ids: list[int]
    cut: bool


def room_for_prompt(lm: LanguageModel, *, most: int, new_tokens: int) -> int:
    """Tokens that a prompt may have beside `new_tokens` of a completion, `most` at most.

    Beyond the model's window its positions mean nothing: a longer prompt loses its oldest messages.
    Raises RunError("config_invalid") where the completion alone would fill the window.
    """
    room = min(most, lm.max_positions - new_tokens)
    if room < 1:
        problem = f"max_new_tokens: the model has {lm.max_positions} positions in all"
        raise RunError("config_invalid", problems=problem)
    return room


def room_for_each(lm: LanguageModel, most: int) -> int:
    """Tokens that a prompt and its completion may each have, `most` at most: both fit the window.

    Raises RunError("config_invalid") for a model that has no room for two tokens.
    """
    return room_for_prompt(lm, most=most, new_tokens=-(-lm.max_positions // 2))


def fit(lm: LanguageModel, messages: Sequence[Message], max_tokens: int) -> Fitted:
    """The conversation up to where the assistant begins to answer, in at most `max_tokens`.

    Cut from the left at a message's boundary; a system message at the beginning stays where it
    fits. The last message alone may be too long: then it loses its beginning. The template around
    it stays whole, so that the model always reads whose turn it is.
    """
    ids = encode_chat(lm, messages)
    if len(ids) <= max_tokens:
        return Fitted(ids, cut=False)
    system = list(messages[:1]) if messages[0]["role"] == "system" and len(messages) > 1 else []
    beginnings: list[list[Message]] = [system, []] if system else [[]]
    for kept in beginnings:
        for first in range(1 + len(kept), len(messages)):
            ids = encode_chat(lm, [*kept, *messages[first:]])
            if len(ids) <= max_tokens:
                return Fitted(ids, cut=True)
    return Fitted(_last_message(lm, messages[-1], max_tokens), cut=True)


def _last_message(lm: LanguageModel, message: Message, max_tokens: int) -> list[int]:
    """As much of one message's end as there is room for."""
    content = encode_text(lm, message["content"])
    around = len(encode_chat(lm, [{"role": message["role"], "content": ""}]))
    for room in range(max_tokens - around, 0, -1):
        tail: str = lm.tokenizer.decode(
            content[-room:], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        # Half a character at the cut would be read as a mark of its own.
        tail = tail.lstrip("\N{REPLACEMENT CHARACTER}")
        ids = encode_chat(lm, [{"role": message["role"], "content": tail}])
        if len(ids) <= max_tokens:
            return ids
    return encode_chat(lm, [message])[-max_tokens:]
