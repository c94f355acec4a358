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
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import benchmarks.django_ready  # noqa: F401  # before any model
from benchmarks import report
from benchmarks.labelers import (
    PAPER_AGREEMENT,
    NoiseCalibration,
    calibrate_noise,
    expected_agreement_with_gold,
)
from benchmarks.loop_labelers import PROJECT, Gold, Team
from benchmarks.loop_measures import (
    all_samples,
    labeler_shares,
    measure_rounds,
    texts_by_prompt,
    write_for_labelers,
)
from benchmarks.loop_rewards import add_reward_accuracy
from benchmarks.product import ROOT, Client, Product
from labeling.models import Split
from labeling.prompts import split_for

EVALUATED = ("deployed", "refused", "waiting")
DECIDED = (*EVALUATED, "needs_rankings", "cancelled")
PROMPTS = ROOT / "labeling" / "demo" / "prompts.jsonl"
REPORTED = ROOT / "benchmarks" / "gold" / "reported_prompts.jsonl"
"""Written after all tuning: nothing was ever chosen by what a policy says to them."""
REPORTED_GROUP = "reported"
"""Prompts of one group share a split; the hash of this name makes it evaluation."""
CHANGES: dict[str, dict[str, Any]] = {"reward": {"finetune": "never"}}
"""Over the product's defaults: in the one trial there was (docs/experiments.md) tuning brought
nothing over the probe on so few rankings, and it takes minutes to find that out."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked of one unattended loop."""

    gold_file: Path
    seed: int = 0
    rounds: int = 2
    minutes: float
    """The most that it may take."""
    labelers: int = 6
    agreement: float = PAPER_AGREEMENT
    """Share of pairs on which two of them agree."""
    k: int = 4
    max_new_tokens: int = 40
    first_rankings: int = 480
    more_rankings: int = 240
    evaluation_prompts: int = 200
    model: str = ""
    length_ratio: float = 3.0
    """Wider than the product's default: a hidden score may want shorter or longer texts."""
    changes: dict[str, dict[str, Any]] = field(default_factory=CHANGES.copy)
    """Over the preset, by recipe."""

    @property
    def name(self) -> str:
        return self.gold_file.stem


def minutes_here() -> float:
    """Half an hour is enough for two rounds; without AVX-512 it takes two to three times that."""
    return 75 if report.vector_instructions() in {"", "avx2"} else 30


def load_gold(path: Path) -> Gold:
    """The function `gold(prompt, completion) -> float` of a Python file.

    Raises SystemExit with what is wrong with the file.
    """
    if not path.is_file():
        raise SystemExit(f"GOLD={path} is not there")
    spec = importlib.util.spec_from_file_location("chosen_gold", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"GOLD={path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise SystemExit(f"GOLD={path}, line {error.lineno}: {error.msg}") from error
    gold = getattr(module, "gold", None)
    if not callable(gold):
        raise SystemExit(f"GOLD={path} has no function gold(prompt, completion) -> float")
    return gold  # type: ignore[no-any-return]  # callable is all that can be checked here


def prompt_rows(seed: int) -> list[dict[str, str]]:
    """The demo's prompts for training, and the reported ones for evaluation, shuffled.

    The demo's own evaluation prompts are left out: presets were chosen by what they showed.
    """
    demo, reported = (
        [json.loads(line) for line in path.read_text().splitlines()] for path in (PROMPTS, REPORTED)
    )
    rows = [row for row in demo if split_for(row["prompt"]) != Split.EVALUATION]
    rows += [row | {"group": REPORTED_GROUP} for row in reported]
    random.Random(seed).shuffle(rows)
    return rows


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
    rows = prompt_rows(plan.seed)
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


def calibrate(owner: Client, gold: Gold, plan: Plan, *, slates: int = 20) -> NoiseCalibration:
    """Wait for the base's first samples; the noise at which two labelers agree as planned.

    Raises TimeoutError where none come within the plan's minutes.
    """
    began = time.monotonic()
    while time.monotonic() - began < plan.minutes * 60:
        texts_of = texts_by_prompt(owner)
        whole = [(prompt, texts) for prompt, texts in texts_of.items() if len(texts) >= plan.k]
        if len(whole) >= slates:
            return calibrate_noise(gold, whole, plan.agreement)
        time.sleep(2)
    raise TimeoutError(f"no {slates} slates within {plan.minutes:g} minutes")


def wait_for_rounds(owner: Client, team: Team, plan: Plan, started: float) -> list[Any]:
    """Follow until `plan.rounds` rounds are evaluated or the time is up; every decided round.

    Raises RuntimeError where a round stops at a failed step.
    """
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
        team.rest(resting=len(decided) < len(rounds))
        if any(row["state"] == "stopped" for row in rounds):
            raise RuntimeError(f"a step failed: {rounds[-1]}")
        late = time.monotonic() - started > plan.minutes * 60
        if late:
            say("the time is up", started)
        if late or sum(row["state"] in EVALUATED for row in decided) >= plan.rounds:
            return decided
        time.sleep(3)


def say(text: str, started: float) -> None:
    """A line with the time since the start."""
    print(f"[{time.monotonic() - started:6.0f} s] {text}", flush=True)


def run(plan: Plan, folder: Path) -> dict[str, Any]:
    """The whole loop in `folder`; the result as it is written."""
    gold = load_gold(plan.gold_file)
    settings = {"RANKLOOP_DEMO": "false", "RANKLOOP_TICK_SECONDS": "2"}
    if plan.model:
        settings["RANKLOOP_MODEL"] = plan.model
    product = Product(folder, **settings)
    started, began = time.monotonic(), datetime.now(UTC).isoformat()
    try:
        product.start()
        say(f"the product answers at {product.address}", started)
        owner, labelers = set_up(product, plan)
        noise = calibrate(owner, gold, plan)
        say(f"noise {noise.noise:.3f} for {plan.agreement:.0%} agreement", started)
        team = Team(labelers, gold, noise.noise, plan.seed)
        team.start()
        decided = wait_for_rounds(owner, team, plan, started)
        seconds = time.monotonic() - started
        team.stop()
        numbers = [row["number"] for row in decided]
        rows = measure_rounds(owner, numbers, gold, plan.seed, since=began)
        if rows and rows[-1]["state"] in EVALUATED:
            write_for_labelers(owner, rows[-1])
        accuracy, agreement = labeler_shares(gold, team, owner)
        samples = all_samples(owner)
        checkpoints = owner.pages(f"projects/{PROJECT}/checkpoints/")
    finally:
        product.stop()
    for row in rows:
        row |= {"seed": plan.seed, "labeler_accuracy": accuracy}
        row |= {f"seconds_{stage}": spent for stage, spent in row["seconds"].items()}
    base = Path(plan.model) if plan.model else next((folder / "models").iterdir())
    add_reward_accuracy(rows, samples, checkpoints, gold, base=base, folder=folder)
    return {
        "gold": plan.name,
        "seed": plan.seed,
        "seconds": seconds,
        "machine": report.machine(),
        "first_rankings": plan.first_rankings,
        "more_rankings": plan.more_rankings,
        "length_ratio": plan.length_ratio,
        "labelers": plan.labelers,
        "labeler_agreement_target": plan.agreement,
        "labeler_accuracy_bound": expected_agreement_with_gold(plan.agreement),
        "labeler_accuracy": accuracy,
        "labeler_agreement": agreement,
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
        *("gold_policy", "gold_win_rate", "low", "high", "labeler_accuracy", "seed"),
    )
    columns += tuple(dict.fromkeys(k for r in result["rounds"] for k in r if k[:8] == "seconds_"))
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for row in result["rounds"]:
        cells = [row.get(column) for column in columns]
        shown = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def chosen_plan(arguments: Sequence[str] | None = None) -> tuple[Plan, Path | None]:
    """What the command line asks for, and the folder that is to be kept."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.loop")
    parser.add_argument("--gold", type=Path, default=ROOT / "benchmarks/gold/sentiment.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=minutes_here())
    parser.add_argument("--first-rankings", type=int, default=Plan.first_rankings)
    parser.add_argument("--more-rankings", type=int, default=Plan.more_rankings)
    parser.add_argument("--changes", type=json.loads, default=CHANGES)
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
    return plan, chosen.keep


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the loop and write benchmarks/results/loop.json and loop-NAME.json."""
    plan, kept = chosen_plan(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    folder = kept or Path(tempfile.mkdtemp(prefix="rankloop-loop-"))
    result = run(plan, folder)
    if kept is None:
        shutil.rmtree(folder, ignore_errors=True)
    text = json.dumps(result, indent=1)
    for name in ("loop", f"loop-{plan.name}"):
        (report.RESULTS / f"{name}.json").write_text(text + "\n")
    print(table(result))
    print(f"{result['seconds'] / 60:.1f} minutes, {result['ranked']} rankings, seed {plan.seed}")
    if sum(row["state"] in EVALUATED for row in result["rounds"]) < plan.rounds:
        sys.exit(f"fewer than {plan.rounds} rounds were evaluated in {plan.minutes:g} minutes")


if __name__ == "__main__":
    main()
