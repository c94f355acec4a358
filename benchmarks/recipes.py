"""Our recipes as a benchmark runs them: a run directory, a process, the times that it noted."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import report
from benchmarks.measured import run_measured
from training.configs import RunConfig
from training.rlhf.precision import Precision, measure_precision

NEVER = 10**9
"""Steps between looks or states, where a benchmark wants none."""
MIB = 2**20


class Speed(NamedTuple):
    """Seconds of a step, and the whole process's peak memory in bytes."""

    seconds: float
    peak: int


@cache
def precisions() -> list[Precision]:
    """float32, and bfloat16 where the machine is faster in it: elsewhere a step takes minutes."""
    return ["float32"] if measure_precision("cpu") == "float32" else ["float32", "bfloat16"]


def fastest(side: Mapping[Precision, Speed]) -> Precision:
    return min(side, key=lambda precision: side[precision].seconds)


def compared(
    name: str,
    unit: str,
    amount: float,
    ours: Mapping[Precision, Speed],
    peer: Mapping[Precision, Speed],
) -> list[report.Row]:
    """The rows of one work, of which a step does `amount`: each side in its faster precision, both
    in float32 where there is another, and the peak memory of the first."""
    own, other = fastest(ours), fastest(peer)
    which = f" ({own}; peer {other})" if len(ours) > 1 else ""
    pairs = [(f"{name}{which}", ours[own], peer[other])]
    if len(ours) > 1:
        pairs.append((f"{name}, both float32", ours["float32"], peer["float32"]))
    rows = [
        report.row(title, unit, amount / mine.seconds, amount / theirs.seconds)
        for title, mine, theirs in pairs
    ]
    peaks = (ours[own].peak / MIB, peer[other].peak / MIB)
    return [*rows, report.row(f"{name}, peak memory", "MiB", *peaks, more_is_better=False)]


def write_run(folder: Path, config: RunConfig, **data: Sequence[Mapping[str, Any]]) -> Path:
    """A run directory as the launcher writes it: data=rows becomes data/data.jsonl."""
    (folder / "data").mkdir(parents=True)
    (folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    for name, rows in data.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "data" / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder


def run_recipe(folder: Path, recipe: str) -> int:
    """Run a recipe to its end; its peak memory in bytes."""
    return run_measured([sys.executable, "-m", f"training.rlhf.{recipe}", str(folder)]).peak


def metrics(folder: Path) -> list[dict[str, Any]]:
    """What a run noted of its steps, in their order."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
