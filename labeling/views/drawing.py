"""Geometry of dots with intervals, pictures that do not move. Drawn as SVG by templates.

Positions are percentages of the picture's width, so that one drawing fits every screen. Knows
nothing of where its numbers come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A value with its interval: one row of a table with a drawn line in it."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    href: str = ""
    note: str = ""
    hue: str = "candidate"
    """Which policy's colour: candidate, deployed, base, labelers, judge or reward."""
    start: float = 0.0
    end: float = 1.0
    reference: float | None = 0.5

    def at(self, value: float | None) -> str:
        """Where a value lies, for an SVG attribute (never localised)."""
        if value is None:
            return ""
        share = (value - self.start) / (self.end - self.start)
        return f"{min(max(share, 0.0), 1.0) * 100:.2f}%"

    @property
    def x(self) -> str:
        """The dot."""
        return self.at(self.value)

    @property
    def x_low(self) -> str:
        """The interval's left end."""
        return self.at(self.low)

    @property
    def x_high(self) -> str:
        """The interval's right end."""
        return self.at(self.high)

    @property
    def x_reference(self) -> str:
        """The line to compare with."""
        return self.at(self.reference)


def spread(values: Iterable[float | None], *, least: float = 0.0) -> tuple[float, float]:
    """A range from `least` that holds all values, with a little room at its end."""
    known = [value for value in values if value is not None]
    return least, (max(known) * 1.1 if known and max(known) > least else least + 1.0)
