"""Statistics of a set of texts. Strings in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence


def distinct(texts: Sequence[str], n: int = 2) -> float:
    """Share of different ones among all word n-grams of all texts together (Li et al. 2016).

    Words are what white space separates, case ignored. It falls with the number of texts: compare
    sets of equal size only. 1 where there is no n-gram at all.
    """
    grams: list[tuple[str, ...]] = []
    for text in texts:
        words = text.casefold().split()
        grams.extend(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    return len(set(grams)) / len(grams) if grams else 1.0


def mean_words(texts: Sequence[str]) -> float:
    """Words a text, on average; 0 without texts."""
    return sum(len(text.split()) for text in texts) / len(texts) if texts else 0.0
