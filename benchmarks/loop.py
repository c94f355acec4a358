"""Prove the loop unattended: the real product, simulated labelers, rounds by the product's rules.

Labelers rank over HTTP by a hidden gold score with noise; the product trains, evaluates and
deploys by itself; afterwards the deployed policies are measured against that gold score on the
evaluation prompts, which nobody ranked and nothing was trained on.

    python -m benchmarks.loop --gold benchmarks/gold/sentiment.py --seed 0 --rounds 2
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
import urllib.error
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.labelers import (
    PAPER_AGREEMENT,
    NoiseCalibration,
    SimulatedLabeler,
    calibrate_noise,
    expected_agreement_with_gold,
)
from benchmarks.loop_rewards import add_reward_accuracy
from benchmarks.product import ROOT, Client, Product

Gold = Callable[[str, str], float]
DECIDED = ("deployed", "refused", "waiting", "needs_rankings", "cancelled", "stopped")
PROMPTS = ROOT / "labeling" / "demo" / "prompts.jsonl"
PROJECT = "loop"
BOOTSTRAPS = 2000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked of one unattended loop."""

    gold_file: Path
    seed: int = 0
    rounds: int = 2
    minutes: float = 30
    labelers: int = 6
    k: int = 4
    max_new_tokens: int = 40
    first_rankings: int = 400
    more_rankings: int = 200
    evaluation_prompts: int = 200
    model: str = ""
    length_ratio: float = 3.0
    """Wider than the product's default: a hidden score may want shorter or longer texts."""
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Over the preset, by recipe."""

    @property
    def name(self) -> str:
        return self.gold_file.stem


def load_gold(path: Path) -> Gold:
    """The function `gold(prompt, completion) -> float` of a Python file."""
    spec = importlib.util.spec_from_file_location("chosen_gold", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"GOLD={path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    gold = getattr(module, "gold", None)
    if not callable(gold):
        raise SystemExit(f"GOLD={path} has no function gold(prompt, completion) -> float")
    return gold  # type: ignore[no-any-return]  # callable is all that can be checked here


def last_turn(messages: Sequence[dict[str, str]]) -> str:
    """The text that the gold score sees as the prompt."""
    return messages[-1]["content"]


class Team:
    """Simulated labelers, each a thread with a token, ranking whatever the product hands out."""

    def __init__(self, clients: list[Client], gold: Gold, noise: float, seed: int) -> None:
        self.gold = gold
        self.members = [
            (client, SimulatedLabeler(name=f"simulated-{i}", seed=seed * 1000 + i, noise=noise))
            for i, client in enumerate(clients)
        ]
        self.stopping = threading.Event()
        self.ranked = 0
        self.refused: list[str] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=member, daemon=True) for member in self.members
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join(timeout=90)

    def _work(self, client: Client, labeler: SimulatedLabeler) -> None:
        while not self.stopping.is_set():
            try:
                assignment = client.post(f"projects/{PROJECT}/assignments/next/")
                if assignment is None:
                    self.stopping.wait(2.0)
                    continue
                self._rank(client, labeler, assignment)
            except urllib.error.HTTPError as error:
                with self._lock:
                    self.refused.append(f"{error.code}: {error.read(300)!r}")
                self.stopping.wait(1.0)
            except OSError:
                self.stopping.wait(1.0)

    def _rank(self, client: Client, labeler: SimulatedLabeler, assignment: Any) -> None:
        texts = [completion["text"] for completion in assignment["completions"]]
        ranks = labeler.rank(self.gold, last_turn(assignment["prompt"]), texts)
        client.post(
            f"projects/{PROJECT}/rankings/",
            {
                "assignment": assignment["id"],
                "lease": assignment["lease"],
                "ranks": {
                    str(completion["id"]): rank
                    for completion, rank in zip(assignment["completions"], ranks, strict=True)
                },
                "seconds": 1.0,
            },
        )
        with self._lock:
            self.ranked += 1


def set_up(product: Product, plan: Plan) -> tuple[Client, list[Client]]:
    """A project with prompts and rules, a manager's token, a token for each labeler."""
    owner = Client(
        address=product.address,
        token=product.manage("issue_token", "owner", "--scopes", "read write train"),
    )
    project = {
        "name": PROJECT,
        "k": plan.k,
        "max_new_tokens": plan.max_new_tokens,
        "temperature": 1.0,
        "slates_ahead": 24,
        "base_model": plan.model,
    }
    slug = owner.post("projects/", project)["slug"]
    assert slug == PROJECT, slug
    owner.call(
        "PATCH",
        f"projects/{PROJECT}/plan/",
        {
            "after_rankings": plan.first_rankings,
            "evaluation_prompts": plan.evaluation_prompts,
            "length_ratio": plan.length_ratio,
            "overrides": plan.changes,
        },
    )
    rows = [json.loads(line) for line in PROMPTS.read_text().splitlines()]
    random.Random(plan.seed).shuffle(rows)
    for start in range(0, len(rows), 500):
        owner.post(f"projects/{PROJECT}/prompts/", rows[start : start + 500])
    labelers = []
    for number in range(plan.labelers):
        token = product.manage(
            *("issue_token", f"simulated-{number}", "--scopes", "read write"),
            *("--project", PROJECT, "--role", "labeler"),
        )
        labelers.append(Client(address=product.address, token=token))
    return owner, labelers


def all_samples(owner: Client) -> list[dict[str, Any]]:
    """Every completion, with its prompt's messages and split."""
    prompts = {row["id"]: row for row in owner.pages(f"projects/{PROJECT}/prompts/")}
    return [
        row
        | {"messages": prompts[row["prompt"]]["messages"], "split": prompts[row["prompt"]]["split"]}
        for row in owner.pages(f"projects/{PROJECT}/completions/")
    ]


def texts_by_prompt(owner: Client) -> dict[str, list[str]]:
    """Completions by the text that the gold score sees as their prompt."""
    found: dict[str, list[str]] = {}
    for row in all_samples(owner):
        found.setdefault(last_turn(row["messages"]), []).append(row["text"])
    return found


def calibrate(owner: Client, gold: Gold, *, k: int, slates: int = 20) -> NoiseCalibration:
    """Wait for the base's first samples; the noise at which two labelers agree on 73 % of pairs."""
    while True:
        texts_of = texts_by_prompt(owner)
        whole = [(prompt, texts) for prompt, texts in texts_of.items() if len(texts) >= k]
        if len(whole) >= slates:
            return calibrate_noise(gold, whole, PAPER_AGREEMENT)
        time.sleep(2)


def wait_for_rounds(owner: Client, plan: Plan, started: float) -> list[Any]:
    """Follow until `plan.rounds` rounds are decided or the time is up; what each round was."""
    told: dict[int, str] = {}
    while True:
        rounds = sorted(owner.pages(f"projects/{PROJECT}/rounds/"), key=lambda row: row["number"])
        for row in rounds:
            state = f"{row['state']} {row['step']}"
            if told.get(row["number"]) != state:
                told[row["number"]] = state
                say(f"round {row['number']}: {state}", started)
        if rounds and rounds[0]["state"] in DECIDED:
            owner.call("PATCH", f"projects/{PROJECT}/plan/", {"after_rankings": plan.more_rankings})
        decided = [row for row in rounds if row["state"] in DECIDED]
        late = time.monotonic() - started > plan.minutes * 60
        if len(decided) >= plan.rounds or late:
            if late:
                say("the time is up", started)
            return decided
        time.sleep(3)


def say(text: str, started: float) -> None:
    """A line with the time since the start."""
    print(f"[{time.monotonic() - started:6.0f} s] {text}", flush=True)


def bootstrap(values: Sequence[float], seed: int) -> tuple[float, float]:
    """95 % interval of the mean, resampling prompts."""
    draw = random.Random(seed)
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(BOOTSTRAPS))
    return means[int(0.025 * BOOTSTRAPS)], means[int(0.975 * BOOTSTRAPS) - 1]


def distinct2(texts: Sequence[str]) -> float:
    """Different pairs of neighbouring words over all of them."""
    pairs = [pair for text in texts for pair in pairwise(text.lower().split())]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def measure_round(owner: Client, number: int, gold: Gold, seed: int) -> dict[str, Any]:
    """One row of the result: the round's policy beside the base, by the gold score."""
    row = owner.get(f"projects/{PROJECT}/rounds/{number}/")
    runs = {
        run["kind"]: owner.get(f"projects/{PROJECT}/runs/{run['id']}/")
        for run in row["runs"]
        if run["state"] == "succeeded"
    }
    out: dict[str, Any] = {
        "round": number,
        "state": row["state"],
        "rankings": row["rankings_at_start"],
        "checkpoints": {kind: run["checkpoint"] for kind, run in runs.items()},
        "results": {kind: run["results"] for kind, run in runs.items()},
        "seconds": {kind: seconds_of(run) for kind, run in runs.items()},
        "rm_oof_accuracy": runs["reward"]["results"]["oof_accuracy"] if "reward" in runs else None,
    }
    if not row["evaluations"]:
        return out
    evaluation = row["evaluations"][0]
    texts = owner.pages(f"projects/{PROJECT}/evaluations/{evaluation['id']}/texts/")
    prompts = [last_turn(text["prompt"]) for text in texts]
    candidate, base = [t["candidate"] for t in texts], [t["base"] for t in texts]
    new = [gold(prompt, text) for prompt, text in zip(prompts, candidate, strict=True)]
    old = [gold(prompt, text) for prompt, text in zip(prompts, base, strict=True)]
    wins = [0.5 * (n >= o) + 0.5 * (n > o) for n, o in zip(new, old, strict=True)]
    low, high = bootstrap(wins, seed)
    return out | {
        "gold_win_rate": statistics.fmean(wins),
        "low": low,
        "high": high,
        "gold_policy": statistics.fmean(new),
        "gold_base": statistics.fmean(old),
        "judge_win_rate_over_base": evaluation["base_win_rate"],
        "kl": evaluation["kl"],
        "words": statistics.fmean(len(text.split()) for text in candidate),
        "base_words": statistics.fmean(len(text.split()) for text in base),
        "distinct2": distinct2(candidate),
        "base_distinct2": distinct2(base),
        "prompts": len(texts),
    }


def seconds_of(run: Any) -> float:
    """From the start of a run to its end."""
    begun, ended = (datetime.fromisoformat(run[key]) for key in ("started_at", "finished_at"))
    return (ended - begun).total_seconds()


def labeler_accuracy(gold: Gold, team: Team, owner: Client) -> float:
    """Share of pairs on which a simulated labeler agrees with the gold, on all samples."""
    right = total = 0.0
    by_prompt = texts_by_prompt(owner)
    labeler = team.members[0][1]
    for prompt, texts in list(by_prompt.items())[:400]:
        scores = [gold(prompt, text) for text in texts]
        ranks = labeler.rank(gold, prompt, texts)
        for i in range(len(texts)):
            for j in range(i):
                if scores[i] != scores[j] and ranks[i] != ranks[j]:
                    total += 1
                    right += (scores[i] > scores[j]) == (ranks[i] < ranks[j])
    return right / total if total else float("nan")


def run(plan: Plan, folder: Path) -> dict[str, Any]:
    """The whole loop in `folder`; the result as it is written."""
    gold = load_gold(plan.gold_file)
    product = Product(folder, RANKLOOP_DEMO="false", RANKLOOP_TICK_SECONDS="2")
    started = time.monotonic()
    try:
        product.start()
        say(f"the product answers at {product.address}", started)
        owner, labelers = set_up(product, plan)
        noise = calibrate(owner, gold, k=plan.k)
        say(f"noise {noise.noise:.3f} for {PAPER_AGREEMENT:.0%} agreement", started)
        team = Team(labelers, gold, noise.noise, plan.seed)
        team.start()
        decided = wait_for_rounds(owner, plan, started)
        seconds = time.monotonic() - started
        team.stop()
        rows = [measure_round(owner, row["number"], gold, plan.seed) for row in decided]
        accuracy = labeler_accuracy(gold, team, owner)
        samples = all_samples(owner)
        checkpoints = owner.pages(f"projects/{PROJECT}/checkpoints/")
    finally:
        product.stop()
    add_reward_accuracy(rows, samples, checkpoints, gold, folder)
    return {
        "gold": plan.name,
        "seed": plan.seed,
        "seconds": seconds,
        "machine": report.machine(),
        "labelers": plan.labelers,
        "labeler_agreement_target": PAPER_AGREEMENT,
        "labeler_accuracy_bound": expected_agreement_with_gold(PAPER_AGREEMENT),
        "labeler_accuracy": accuracy,
        "refusals": team.refused[:20],
        "ranked": team.ranked,
        "changes": plan.changes,
        "rounds": rows,
    }


def table(result: dict[str, Any]) -> str:
    """The rounds as Markdown."""
    columns = (
        *("round", "state", "rankings", "rm_oof_accuracy", "rm_gold_accuracy"),
        *("rm_own_pairs_accuracy", "kl", "words", "distinct2", "base_distinct2", "gold_base"),
        *("gold_policy", "gold_win_rate", "low", "high"),
    )
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for row in result["rounds"]:
        cells = [row.get(column) for column in columns]
        shown = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the loop and write benchmarks/results/loop.json and loop-NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.loop")
    parser.add_argument("--gold", type=Path, default=ROOT / "benchmarks/gold/sentiment.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--first-rankings", type=int, default=Plan.first_rankings)
    parser.add_argument("--more-rankings", type=int, default=Plan.more_rankings)
    parser.add_argument("--changes", type=json.loads, default={})
    parser.add_argument("--model", default="")
    parser.add_argument("--keep", type=Path, help="a folder to run in and to keep")
    chosen = parser.parse_args(arguments)
    plan = Plan(
        gold_file=chosen.gold,
        seed=chosen.seed,
        rounds=chosen.rounds,
        minutes=chosen.minutes,
        first_rankings=chosen.first_rankings,
        more_rankings=chosen.more_rankings,
        model=chosen.model,
        changes=chosen.changes,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="rankloop-loop-"))
    result = run(plan, folder)
    if chosen.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    text = json.dumps(result, indent=1)
    for name in ("loop", f"loop-{plan.name}"):
        (report.RESULTS / f"{name}.json").write_text(text + "\n")
    print(table(result))
    print(f"{result['seconds'] / 60:.1f} minutes, {result['ranked']} rankings, seed {plan.seed}")


if __name__ == "__main__":
    main()
