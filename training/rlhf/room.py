"""How much goes through a model at once: as much as memory allows; results differ by rounding.

Gradients are added up over micro-batches and texts are scored each for itself, so that less at once
takes longer and changes numbers only by rounding. Knows nothing of what is computed.
"""

from __future__ import annotations

_share = 1.0


def at_once(usual: int) -> int:
    """Of a number that is usual (rows, tokens, bytes), what this process takes; at least 1."""
    return max(1, int(usual * _share))


def is_short() -> bool:
    """Whether this process takes less than usual: copies that only save time are not made then."""
    return _share < 1


def take_only(share: float) -> None:
    """From now on this share of what is usual, 0 to 1. One process runs one recipe."""
    global _share  # noqa: PLW0603 - memory belongs to the process, and so does this
    _share = share
