"""The hidden score 'short words'. Knows nothing of meaning; of length, only what is too short."""

import re

MINIMUM_WORDS = 5
LONGEST_WORD = 12
MISSING_WORD = 15

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def gold(prompt: str, completion: str) -> float:  # noqa: ARG001 (all gold scores take it)
    """Reward short words: the negative mean number of letters per word.

    A word is a run of letters, with apostrophes inside it (which are not counted as letters). Words
    beyond 12 letters count as 12, and each word that a text lacks up to five counts as 15 letters.
    So a text without any letters gets -15, worse than anything that says something.
    """
    letters = (sum(char.isalpha() for char in word) for word in _WORD.findall(completion))
    lengths: list[int] = [min(count, LONGEST_WORD) for count in letters if count]
    missing = max(0, MINIMUM_WORDS - len(lengths))
    return -(sum(lengths) + missing * MISSING_WORD) / (len(lengths) + missing)
