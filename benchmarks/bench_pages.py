"""What the pages weigh, what axe and Lighthouse say of them, and how fast keys rank.

Chromium in front of the real web server, with static files as an installation serves them. The
Lighthouse of `benchmarks/lighthouse` needs Node: `npm ci --ignore-scripts` there, once.

    python -m benchmarks.bench_pages      --small: two pages and two rankings, and no report
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from benchmarks import report
from benchmarks.browsers import ARGUMENTS, chromium, chromium_path, signed_in_context, visit
from benchmarks.keystrokes import Ranked, rank
from benchmarks.product import ROOT, free_port
from benchmarks.web_server import in_folder, told_by, web_server

LIGHTHOUSE = ROOT / "benchmarks" / "lighthouse"
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
MOST_KB = 120
SECONDS = 180
LESS = {"more_is_better": False}
PEER_KB, PEER_SECONDS = 8.1 * 1024, 1.75
"""Label Studio's labeling page: 8.1 MB over 36 requests."""
PAGES = {
    "home": ("/", "labeler"),
    "rank": ("/projects/{slug}/rank/", "labeler"),
    "my rankings": ("/projects/{slug}/rankings/", "labeler"),
    "overview": ("/projects/{slug}/overview/", "manager"),
    "prompts": ("/projects/{slug}/prompts/", "manager"),
    "people": ("/projects/{slug}/people/", "manager"),
    "settings": ("/projects/{slug}/settings/", "manager"),
    "sign in": ("/sign-in/", ""),
}
NOTE = (
    "Weight: every answer that a page with an empty cache asks for, on the wire, heads included; "
    "of the ranking page with four completions also the slate that is fetched ahead. The peer is "
    "Label Studio 1.23.2's labeling page. Lighthouse {version}: a phone on a slow network, "
    "simulated. Keys: an expert who has decided already; the time is the page's and the driver's, "
    "from the first key to the next slate."
)


def lighthouse(address: str, session: str, folder: Path) -> dict[str, float]:
    """Its scores by category, 0 to 100, in a Chromium of its own that is signed in."""
    result, debugging = folder / "lighthouse.json", free_port()
    command = [
        str(LIGHTHOUSE / "node_modules" / ".bin" / "lighthouse"),
        address,
        "--quiet",
        "--output=json",
        f"--output-path={result}",
        f"--port={debugging}",
        "--disable-storage-reset",
        f"--only-categories={','.join(CATEGORIES)}",
    ]
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tempfile.mkdtemp(dir=folder),
            executable_path=chromium_path(),
            args=[*ARGUMENTS, f"--remote-debugging-port={debugging}"],
        )
        if session:
            context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
        subprocess.run(command, check=True, timeout=SECONDS)
        context.close()
    found = json.loads(result.read_text())
    if found.get("runtimeError"):
        raise RuntimeError(f"{address}: {found['runtimeError']}")
    for audit in found["audits"].values():
        if audit["score"] is not None and audit["score"] < 0.9:
            print(f"    {audit['id']}: {audit['score']} {audit.get('displayValue', '')}")
    return {name: found["categories"][name]["score"] * 100 for name in CATEGORIES}


def violations(context: BrowserContext, address: str) -> int:
    """How many nodes axe complains of."""
    page = context.new_page()
    page.goto(address)
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    for rule in found:
        print(f"    axe {rule['id']}: {[node['target'] for node in rule['nodes']]}")
    page.close()
    return sum(len(rule["nodes"]) for rule in found)


def rows_of_page(browser: Browser, port: int, name: str, told: dict[str, Any]) -> list[report.Row]:
    """Weight, requests and complaints of one page."""
    address, session = _address(name, told)
    with signed_in_context(browser, port, session or "none") as context:
        seen = visit(context, address)
        wrong = violations(context, address)
    if seen.complaints:
        raise RuntimeError(f"{name}: the console says {seen.complaints}")
    is_peers = name == "rank"
    return [
        report.row(
            f"{name}: weight",
            "KB",
            round(seen.total / 1024, 1),
            PEER_KB if is_peers else None,
            **LESS,
        ),
        report.row(f"{name}: requests", "count", len(seen.bytes), 36 if is_peers else None, **LESS),
        report.row(f"{name}: axe", "violations", wrong),
    ]


def rows_of_scores(port: int, name: str, told: dict[str, Any], folder: Path) -> list[report.Row]:
    """What Lighthouse says of one page."""
    address, session = _address(name, told)
    scores = lighthouse(f"http://127.0.0.1:{port}{address}", session, folder)
    return [
        report.row(f"{name}: Lighthouse, {category}", "points", round(score))
        for category, score in scores.items()
    ]


def _address(name: str, told: dict[str, Any]) -> tuple[str, str]:
    """A page's address, and the session of who looks at it."""
    path, who = PAGES[name]
    session = {"labeler": told["labelers"][0], "manager": told["manager"], "": ""}[who]
    return path.format(slug=told["slug"]), session


def rows_of_keys(ranked: dict[str, Ranked]) -> list[report.Row]:
    """Keys and milliseconds of a ranking, by what was said in it."""
    rows = []
    for name, one in ranked.items():
        rows += [
            report.row(f"{name}: keys", "keys", one.keys),
            report.row(f"{name}: time of the page", "ms", round(one.milliseconds)),
        ]
    return rows


def version() -> str:
    """Of the Lighthouse that is pinned."""
    pinned = json.loads((LIGHTHOUSE / "package.json").read_text())
    return str(pinned["dependencies"]["lighthouse"])


def _looked_at(
    port: int,
    wanted: argparse.Namespace,
    folder: Path,
    told: dict[str, Any],
    told_keys: dict[str, Any],
) -> list[report.Row]:
    """All rows; Lighthouse last, with nothing beside it."""
    rows: list[report.Row] = []
    with chromium() as browser:
        for name in wanted.pages:
            rows += rows_of_page(browser, port, name, told)
        rows += rows_of_keys(rank(browser, port, told_keys, wanted.times))
    if shutil.which("node") is None or not (LIGHTHOUSE / "node_modules").exists():
        print(f"no Lighthouse: npm ci --ignore-scripts in {LIGHTHOUSE.relative_to(ROOT)}")
        return rows
    for name in wanted.pages:
        print(f"Lighthouse: {name}…", flush=True)
        rows += rows_of_scores(port, name, told, folder)
    return rows


def main() -> None:
    """Serve, look, write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", nargs="+", default=list(PAGES), choices=list(PAGES))
    parser.add_argument("--times", type=int, default=20, help="rankings of each kind")
    parser.add_argument("--small", action="store_true")
    wanted = parser.parse_args()
    if wanted.small:
        wanted.pages, wanted.times = ["home", "rank"], 2
    with tempfile.TemporaryDirectory(prefix="rankloop-pages-") as name:
        folder = Path(name)
        in_folder(folder, "config.prepare")
        told = told_by(folder, "benchmarks.labeling_scene", "800", "1")
        told_keys = told_by(folder, "benchmarks.keystrokes", str(wanted.times))
        with web_server(folder) as server:
            rows = _looked_at(server.port, wanted, folder, told, told_keys)
    for row in rows:
        print(row)
    weight = next(row["ours"] for row in rows if row["name"] == "rank: weight")
    if weight > MOST_KB:
        raise SystemExit(f"the ranking page weighs {weight} KB; {MOST_KB} are allowed")
    if not wanted.small:
        report.write("pages", rows, note=NOTE.format(version=version()))


if __name__ == "__main__":
    main()
