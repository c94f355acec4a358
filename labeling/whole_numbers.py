"""Whole numbers as people and programs send them: written in digits, and not too many of them."""

from __future__ import annotations

MOST = 2**63 - 1
"""What a database column holds."""
MOST_DIGITS = len(str(MOST))


def small_int(text: object, most: int = MOST) -> int | None:
    """The number from 0 to `most` that `text` spells in ASCII digits; None if it spells none.

    Python reads no number of more than 4,300 digits (ValueError): this one never raises.
    """
    digits = str(text)
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > MOST_DIGITS:
        return None
    number = int(digits)
    return number if number <= most else None
