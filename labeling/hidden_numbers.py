"""Numbers that people who rank see in the place of ids: they tell neither age nor neighbours.

The slot of a gold item is made when it is due, its completions were stored on another day than
those of its neighbours, and of two models' completions one's came first: by their ids, each could
be told. A hidden number stands for one id for ever: on every page, and in drafts kept by browsers.

A keyed permutation of 48 bits: a Feistel network of four rounds (Luby and Rackoff 1988). Knows
nothing of what has the id.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

from django.utils.crypto import salted_hmac

from labeling.whole_numbers import small_int

HALF = 24
"""Bits. Twice as many are exact in JavaScript, where numbers are floats of 53 bits."""
MASK = (1 << HALF) - 1
ROUNDS = (0, 1, 2, 3)


class Of(StrEnum):
    """What a number stands for; each kind has a permutation of its own."""

    ASSIGNMENT = "assignment"
    SLATE = "slate"
    COMPLETION = "completion"
    PROMPT = "prompt"


def hidden(of: Of, pk: int) -> int:
    """The number that stands for this id, from 0 to 2⁴⁸ − 1."""
    left, right = pk >> HALF, pk & MASK
    for number in ROUNDS:
        left, right = right, left ^ _mixed(of, number, right)
    return left << HALF | right


def revealed(of: Of, number: int) -> int | None:
    """The id that a hidden number stands for; None where it is none."""
    if not 0 <= number < 1 << 2 * HALF:
        return None
    left, right = number >> HALF, number & MASK
    for round_number in reversed(ROUNDS):
        left, right = right ^ _mixed(of, round_number, left), left
    return left << HALF | right


@lru_cache(maxsize=4096)
def _mixed(of: Of, number: int, half: int) -> int:
    """HALF bits that only who has the key can tell."""
    digest = salted_hmac(f"labeling.hidden_numbers.{of}.{number}", str(half), algorithm="sha256")
    return int.from_bytes(digest.digest()[:3])


class HiddenAssignment:
    """A path converter: addresses of slots hold hidden numbers, views and `reverse` ids."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        """The id. Raises ValueError, which is 404, where it is none."""
        number = small_int(value)
        pk = None if number is None else revealed(Of.ASSIGNMENT, number)
        if pk is None:
            raise ValueError(value)
        return pk

    def to_url(self, value: int) -> str:
        """The hidden number."""
        return str(hidden(Of.ASSIGNMENT, int(value)))
