"""How long the tests go on that could go on for ever: short here, longer where somebody asks.

`make fuzz` asks for examples (RANKLOOP_TEST_EXAMPLES), `make chaos` for labelers, minutes and kills
(RANKLOOP_TEST_LABELERS, …_MINUTES, …_KILLS).
"""

from __future__ import annotations

import os


def at_least(few: int, name: str) -> int:
    """`few`, or as many as the environment asks for in RANKLOOP_TEST_`name`."""
    return max(few, int(os.environ.get(f"RANKLOOP_TEST_{name}") or 0))


def examples(few: int) -> int:
    """Of generated cases, where each is many steps: a tenth of what plain cases are."""
    return max(few, at_least(0, "EXAMPLES") // 10)
