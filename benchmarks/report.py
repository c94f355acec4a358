"""Where measurements go: one JSON file a benchmark, and the tables of docs/benchmarks.md.

`python -m benchmarks.report` draws the tables again from all files. Knows nothing of what was
measured.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypedDict

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"

BEGIN, END = "<!-- tables: make report -->", "<!-- end of tables -->"

INTRODUCTION = f"""# Benchmarks

`make bench NAME=…` measures one thing and writes `benchmarks/results/NAME.json`; `make loop` proves
the loop. A ratio above 1 means that ours is better. Numbers hold for the machine named beside them.

{BEGIN}
{END}
"""


class Row(TypedDict):
    """One measurement. `peer` and `ratio` are None where there is nothing to compare with."""

    name: str
    unit: str
    ours: float
    peer: float | None
    ratio: float | None


def row(
    name: str, unit: str, ours: float, peer: float | None = None, *, more_is_better: bool = True
) -> Row:
    """A row with its ratio: above 1 where ours is better."""
    ratio = None
    if peer is not None and ours and peer:
        ratio = ours / peer if more_is_better else peer / ours
    return {"name": name, "unit": unit, "ours": ours, "peer": peer, "ratio": ratio}


def _processor() -> str:
    """What the system says of it; empty where it says nothing."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def vector_instructions() -> str:
    """The widest that the processor has for this work: "amx bf16", "avx512 bf16", … or empty."""
    flags = set(re.findall(r"avx512_bf16|avx512f|avx2|amx_bf16", _processor()))
    best = next((f for f in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if f in flags), "")
    return best.replace("_", " ")


def machine() -> str:
    """The machine in a line: processor, cores, what it can do, memory, system, versions."""
    model = re.search(r"model name\s*: (.*)", _processor())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [
        model.group(1).strip() if model else platform.processor(),
        f"{len(os.sched_getaffinity(0))} cores",
        vector_instructions(),
        f"{memory:.0f} GB",
        f"{platform.system()} {platform.release().split('-')[0]}",
        f"Python {platform.python_version()}",
        *(f"{name} {metadata.version(name)}" for name in ("torch", "transformers")),
    ]
    return ", ".join(part for part in parts if part)


def write(
    name: str,
    rows: Sequence[Row],
    *,
    note: str = "",
    results: Path = RESULTS,
    page: Path | None = None,
) -> Path:
    """Write results/NAME.json and draw the tables again. Returns the file's path.

    note: what a reader has to know, and who the peer is. page: docs/benchmarks.md unless told;
    results elsewhere don't touch it.
    """
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{name}.json"
    record = {"machine": machine(), **({"note": note} if note else {}), "rows": list(rows)}
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    target = page or (PAGE if results == RESULTS else None)
    if target is not None:
        render(results=results, page=target)
    return path


def render(*, results: Path = RESULTS, page: Path = PAGE) -> None:
    """Put a table for every results file between the page's marks; the rest of it stays."""
    if not page.exists():
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(INTRODUCTION, encoding="utf-8")
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page}: the marks {BEGIN} and {END} are missing; put them back")
    paths = sorted(results.glob("*.json"))
    if any(path.stem.startswith("loop-") for path in paths):
        paths = [path for path in paths if path.stem != "loop"]  # the newest of them once more
    tables = [_section(path.stem, json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    text = "".join(f"\n{table}\n" for table in tables) or "\n"
    page.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


def _section(name: str, record: Mapping[str, Any]) -> str:
    rows: Sequence[Mapping[str, Any]] = record.get("rows") or record.get("rounds") or []
    columns = [
        column
        for column in dict.fromkeys(key for item in rows for key in item)
        if not any(isinstance(item.get(column), dict | list) for item in rows)
    ]
    lines = [f"## {name}", "", f"{record.get('machine', '')}", ""]
    if "note" in record:
        lines += [record["note"], ""]
    if "seconds" in record:
        minutes, right = record["seconds"] / 60, record["labeler_accuracy"]
        words = (
            f"{minutes:.1f} minutes, {record['ranked']:,} rankings by {record['labelers']} "
            f"simulated labelers, right in {right:.1%} of pairs; seed {record['seed']}."
        )
        if "labeler_agreement" in record:
            words += f" Two of them agree on {record['labeler_agreement']:.1%} of pairs."
        lines += [words, ""]
        if "changes" in record:
            lines += [_beside_defaults(record), ""]
    if columns:
        left = [isinstance(rows[0].get(column), str) for column in columns]
        lines += [
            "| " + " | ".join(columns) + " |",
            "|" + "|".join("---" if is_left else "---:" for is_left in left) + "|",
        ]
        lines += [
            "| " + " | ".join(_cell(item.get(column)) for column in columns) + " |" for item in rows
        ]
    return "\n".join(lines)


def _beside_defaults(record: Mapping[str, Any]) -> str:
    """What a loop set that a new project has not."""
    settings = [
        f"{recipe} `{name}` {value}"
        for recipe, changes in record["changes"].items()
        for name, value in changes.items()
    ]
    if "length_ratio" in record:
        settings.append(f"plan `length_ratio` {record['length_ratio']:g}")
    return "Beside the defaults: " + ", ".join(settings or ["nothing"]) + "."


def _cell(value: object) -> str:
    """A value as people read it: three digits of a small number, thousands with commas."""
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return str(value).replace("|", "\\|").replace("\n", " ")
    if isinstance(value, int) or (isinstance(value, float) and abs(value) >= 100):
        return f"{value:,.0f}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return json.dumps(value, ensure_ascii=False).replace("|", "\\|")


if __name__ == "__main__":
    render()
