"""Where a reward model is right, taken in from a run directory.

Knows nothing of how the parts came about.
"""

from __future__ import annotations

import json
from pathlib import Path

from labeling.completions import storable
from training.models import Run, RunBreakdown

MOST_ROWS = 500
"""More categories and labelers than this on one page help nobody."""


def take_in(run: Run, folder: Path) -> None:
    """Store breakdown.jsonl, once; nothing where there is none.

    Call inside the transaction that closes the run.
    """
    path = folder / "breakdown.jsonl"
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    RunBreakdown.objects.filter(run=run).delete()
    RunBreakdown.objects.bulk_create(
        RunBreakdown(
            run=run,
            by=RunBreakdown.By(row["by"]),
            name=storable(str(row["name"]))[:80],
            pairs=int(row["pairs"]),
            accuracy=float(row["accuracy"]),
            low=float(row["low"]),
            high=float(row["high"]),
            predicted=float(row["predicted"]),
        )
        for row in rows[:MOST_ROWS]
    )
