"""Geometry of bars side by side, a day each. Drawn as SVG by `labeling/_bars.html`.

Positions are percentages of the picture's width, so that one drawing fits every screen. Knows
nothing of where its numbers come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

HEIGHT = 72


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One day's count. x, width in percent; y, height in the picture's units."""

    day: date
    count: int
    x: str
    width: str
    y: str
    height: str


def bars(days: Sequence[tuple[date, int]], *, height: int = HEIGHT) -> list[Bar]:
    """Bars side by side, the highest one as high as the picture; a day of zero keeps a hairline."""
    most = max((count for _day, count in days), default=0) or 1
    slot = 100 / max(len(days), 1)
    drawn = []
    for place, (day, count) in enumerate(days):
        tall = max(count / most * height, 1.0)
        drawn.append(
            Bar(
                day=day,
                count=count,
                x=f"{place * slot + slot * 0.1:.2f}%",
                width=f"{slot * 0.8:.2f}%",
                y=f"{height - tall:.1f}",
                height=f"{tall:.1f}",
            )
        )
    return drawn
