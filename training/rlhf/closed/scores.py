"""How right an answer is, by rule alone. Strings in, numbers out; knows nothing of models.

Exact match and F1 as in SQuAD (Rajpurkar et al. 2016), ROUGE as in Lin 2004. In Chinese and
Japanese each character is a word.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_WORD = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"  # kana and Chinese characters
    "|(?:[^\\W_](?<![\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]))+"
)
_ARTICLES = frozenset(("a", "an", "the"))


class Rouge(NamedTuple):
    """F1 of shared words, of shared pairs of words, and of the longest common subsequence."""

    rouge1: float
    rouge2: float
    rouge_l: float


def words(text: str) -> list[str]:
    """Runs of letters and digits, case and compatibility forms ignored: "Don't!" is don, t."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def bare_words(text: str) -> list[str]:
    """As SQuAD compares answers: punctuation goes without a gap, articles go, case is ignored.

    "The U.S. Navy" is us, navy.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(character for character in folded if not _is_punctuation(character))
    return [word for part in kept.split() for word in _parts(part) if word not in _ARTICLES]


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 where the answer is one of the references, by `bare_words`; else 0."""
    own = bare_words(answer)
    return float(any(own == bare_words(reference) for reference in references))


def token_f1(answer: str, references: Sequence[str]) -> float:
    """F1 of the words that answer and reference share, at the reference where it is highest."""
    own = bare_words(answer)
    others = [bare_words(reference) for reference in references]
    return max(float(own == other) if not own else _f1(own, other) for other in others)


def rouge(answer: str, references: Sequence[str]) -> Rouge:
    """ROUGE-1, -2 and -L (F1, no stemming), each at the reference where it is highest."""
    own = words(answer)
    others = [words(reference) for reference in references]
    return Rouge(
        max(_f1(own, other) for other in others),
        max(_f1(_pairs(own), _pairs(other)) for other in others),
        max(_harmonic(_common_subsequence(own, other), len(own), len(other)) for other in others),
    )


def named_choice(answer: str, choices: Sequence[str]) -> int | None:
    """The number of the choice that the answer names first, as whole words; None if it names none.

    Where two begin at the same word the longer one counts.
    """
    own = words(answer)
    found = []
    for number, choice in enumerate(choices):
        wanted = words(choice)
        for place in range(len(own) - len(wanted) + 1):
            if own[place : place + len(wanted)] == wanted:
                found.append((place, -len(wanted), number))
                break
    return min(found)[2] if found else None


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def _parts(word: str) -> list[str]:
    """A word, or the characters of one in a script without spaces."""
    return _WORD.findall(word) or [word]


def _pairs(own: Sequence[str]) -> list[tuple[str, str]]:
    return list(pairwise(own))


def _f1(own: Sequence[object], other: Sequence[object]) -> float:
    """Of two bags; 0 where both are empty, as rouge_score has it of texts without a pair."""
    return _harmonic(sum((Counter(own) & Counter(other)).values()), len(own), len(other))


def _harmonic(shared: int, own: int, other: int) -> float:
    """2PR / (P + R) with P = shared / own, R = shared / other: 2·shared / (own + other).

    0 where both are empty.
    """
    return 2 * shared / (own + other) if own + other else 0.0


def _common_subsequence(own: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence; O(own × other)."""
    before = [0] * (len(other) + 1)
    for word in own:
        row = [0]
        for place, candidate in enumerate(other):
            row.append(
                before[place] + 1 if word == candidate else max(before[place + 1], row[place])
            )
        before = row
    return before[-1]
