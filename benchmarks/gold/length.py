"""The hidden score 'about fifteen words'. Knows nothing of what the words say."""

TARGET_WORDS = 15
WORDS_PER_POINT = 5


def gold(prompt: str, completion: str) -> float:  # noqa: ARG001 (all gold scores take it)
    """Reward a completion of fifteen words; every five words too many or too few cost one point.

    -|n - 15| / 5, so the best is 0 and an empty text gets -3. A word is whatever stands between
    white space and holds a letter or a digit: a lonely dash or a control character is none.
    """
    words = sum(any(char.isalnum() for char in chunk) for chunk in completion.split())
    return -abs(words - TARGET_WORDS) / WORDS_PER_POINT
