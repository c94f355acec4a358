"""Chance that can't be foreseen and comes out the same when asked again: a keyed hash of a name.

Knows nothing of what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.crypto import salted_hmac


def drawn(name: str, percent: int) -> bool:
    """Whether `name` is among so many percent."""
    return _number(name) * 100 < percent * 2**64


def first_drawn(among: Iterable[int], name: str) -> int | None:
    """The id that `name` draws first; None where there is none."""
    return min(among, key=lambda pk: _number(f"{name}:{pk}"), default=None)


def _number(name: str) -> int:
    """From 0 to 2⁶⁴ − 1."""
    digest = salted_hmac("labeling.draws", name, algorithm="sha256").digest()
    return int.from_bytes(digest[:8])
