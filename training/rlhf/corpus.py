"""The texts of a run as tokens, cut into pieces that fit a window; some of the texts kept back.

Knows nothing of losses or of how pieces are packed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from training.rlhf.durable import RunError
from training.rlhf.models import LanguageModel
from training.rlhf.packing import Sequenced
from training.rlhf.rundir import RunDirectory

TEXTS = "data/texts.jsonl"
TOGETHER = 1000
"""Texts that are tokenized at a time."""
Ids = np.ndarray[tuple[int], np.dtype[np.int32]]


@dataclass(frozen=True, eq=False)
class Corpus:
    """Texts as one array of tokens, each text with the model's end behind it."""

    tokens: Ids
    ends: list[int]
    """Where each text ends in `tokens`, its end token included."""
    size: int
    """Bytes of the texts (UTF-8), the end tokens not counted."""
    empty: int
    """Texts without a single token, which are left out."""

    def text(self, number: int) -> list[int]:
        """The tokens of one text."""
        start = self.ends[number - 1] if number else 0
        return [int(token) for token in self.tokens[start : self.ends[number]]]

    def pieces(self, window: int) -> Pieces:
        """Pieces of at most `window` tokens, none across texts.

        A text's next piece begins with the last token of the one before, which is not learned
        again there: every token but a text's first is learned exactly once.
        """
        spans, start = [], 0
        for end in self.ends:
            while end - start > window:
                spans.append((start, start + window))
                start += window - 1
            if end - start > 1:
                spans.append((start, end))
            start = end
        return Pieces(self.tokens, spans)


@dataclass(frozen=True, eq=False)
class Pieces:
    """A corpus cut up: where each piece begins and ends in its tokens."""

    tokens: Ids
    spans: list[tuple[int, int]]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each piece."""
        return [end - start for start, end in self.spans]

    def sequences(self, numbers: Iterable[int]) -> dict[int, Sequenced]:
        """Some of the pieces by their numbers, every token to be learned."""
        return {number: self._sequence(*self.spans[number]) for number in numbers}

    def _sequence(self, start: int, end: int) -> Sequenced:
        ids = [int(token) for token in self.tokens[start:end]]
        return Sequenced(ids, [True] * len(ids))


def read_corpus(
    directory: RunDirectory, lm: LanguageModel, *, share: float, seed: int
) -> tuple[Corpus, Corpus]:
    """Texts to learn and texts to measure on. Raises RunError: data_missing, data_invalid."""
    train = _tokenized(lm, training_texts(directory, share=share, seed=seed))
    if not train.ends:
        raise RunError("data_missing", file=TEXTS)
    return train, _tokenized(lm, training_texts(directory, share=share, seed=seed, kept_back=True))


def training_texts(
    directory: RunDirectory, *, share: float, seed: int, kept_back: bool = False
) -> Iterator[str]:
    """The texts of split train, one at a time: those to learn, or those kept back.

    A text is kept back by a hash of it, so that its copies stand on the same side.
    Raises RunError("data_invalid") with the line and the problem.
    """
    for number, row in enumerate(directory.rows("texts"), start=1):
        text = row.get("text")
        if not isinstance(text, str):
            raise RunError("data_invalid", file=TEXTS, line=number, problem="needs a text")
        try:
            content = text.encode("utf-8")
        except UnicodeEncodeError as error:
            problem = "the text holds half a character (a lone surrogate)"
            raise RunError("data_invalid", file=TEXTS, line=number, problem=problem) from error
        if row.get("split", "train") == "train" and _kept(content, share, seed) == kept_back:
            yield text


def _kept(content: bytes, share: float, seed: int) -> bool:
    digest = hashlib.blake2b(content, digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") < share * 2**64


def _tokenized(lm: LanguageModel, texts: Iterable[str]) -> Corpus:
    arrays: list[Ids] = []
    ends: list[int] = []
    at = size = empty = 0
    for together in _in_batches(texts):
        found = lm.tokenizer(together, add_special_tokens=False, split_special_tokens=True)
        for text, ids in zip(together, found["input_ids"], strict=True):
            if not ids:
                empty += 1
                continue
            arrays.append(np.array([*ids, lm.eos_ids[0]], dtype=np.int32))
            at += len(ids) + 1
            ends.append(at)
            size += len(text.encode("utf-8"))
    tokens = np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int32)
    return Corpus(tokens=tokens, ends=ends, size=size, empty=empty)


def _in_batches(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while together := list(islice(rest, TOGETHER)):
        yield together
