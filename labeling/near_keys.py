"""The numbers by which prompts that say nearly the same find each other. Knows nothing of rows.

Hashes of each pair of a text's three longest words: two texts that differ in one word share at
least one of them, whichever word that is.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from itertools import combinations
from zlib import crc32

LOOKED_AT = 20_000
"""Characters from which the words are taken."""
WORD = re.compile(r"[^\W_]+")
WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]{2,}"
)
"""Runs of scripts that don't part their words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""

Keys = tuple[int | None, int | None, int | None]


def root_of(messages: Sequence[dict[str, str]]) -> str:
    """A conversation's first user turn, by which prompts are compared and split."""
    return next(message["content"] for message in messages if message["role"] == "user")


def keys_of(text: str) -> Keys:
    """The three numbers by which near duplicates of `text` are found; None where words are few."""
    words = sorted(_words(plain(text[:LOOKED_AT])), key=_order)
    pairs = list(combinations(words[:3], 2)) or [(word, "") for word in words]
    keys = [_number(" ".join(sorted(pair))) for pair in pairs]
    first, second, third = (keys + [None] * 3)[:3]
    return first, second, third


def _order(word: str) -> tuple[int, int]:
    """The longest first; among equals the order is as good as drawn."""
    return -len(word), crc32(word.encode("utf-8", "replace"))


def plain(text: str) -> str:
    """Without differences of case, spacing and Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _words(plain: str) -> set[str]:
    """Each once; a run of a script without spaces is cut into pieces of three characters."""
    if plain.isascii():
        return set(WORD.findall(plain))
    runs = WITHOUT_SPACES.findall(plain)
    pieces = {run[at : at + 3] for run in runs for at in range(max(1, len(run) - 2))}
    return pieces | set(WORD.findall(WITHOUT_SPACES.sub(" ", plain)))


def _number(text: str) -> int:
    """A hash that fits into a column."""
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
