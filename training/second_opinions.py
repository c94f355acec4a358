"""Which slates another labeler should rank: where the reward model can hardly tell what is better.

Reads what a reward run left in its directory and asks through labeling's verb. Knows nothing of how
the margins came about.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from labeling.models import Ranking
from labeling.overlap import ask_once_more
from training.models import Run

NEWEST = 400
"""Rankings looked at: an older one's completions are of a policy that is gone."""
SHARE = 0.1
"""Of their slates, at most, that another labeler is asked for."""
MOST = 20


def ask_for_second_opinions(run: Run, folder: Path) -> int:
    """One slot more where the margins of a reward run are smallest; how many were added.

    At most SHARE of the slates of the newest rankings, and MOST. Nothing where the project's
    overlap is fixed, or the run left no margins.
    """
    if not run.project.is_adaptive:
        return 0
    margins = read_margins(folder)
    newest = sorted(margins, reverse=True)[:NEWEST]
    slates = Ranking.objects.filter(pk__in=newest, slate__project=run.project_id)
    nearest: dict[int, float] = {}
    for ranking, slate in slates.values_list("pk", "slate_id"):
        nearest[slate] = min(margins[ranking], nearest.get(slate, math.inf))
    wanted = min(MOST, math.ceil(SHARE * len(nearest)))
    least_sure = sorted(nearest, key=lambda slate: (nearest[slate], -slate))[:wanted]
    return ask_once_more(project=run.project, slates=least_sure, at_most=wanted)


def read_margins(folder: Path) -> dict[int, float]:
    """margins.jsonl by ranking id; empty where there is none.

    Decisions, whose ids are no plain numbers, are passed over: those slates had their last word.
    """
    path = folder / "margins.jsonl"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    return {int(row["id"]): float(row["margin"]) for row in rows if row["id"].isdecimal()}
