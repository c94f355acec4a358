"""What a finished round is worth by the hidden gold score, read over REST.

Knows the API and the gold, nothing of how a loop is run.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from benchmarks.loop_labelers import PROJECT, Gold, Team, last_turn
from benchmarks.product import Client

BOOTSTRAPS = 2000


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


def write_for_labelers(owner: Client, row: dict[str, Any], *, enough: int = 40) -> None:
    """Give a measured round's policy two minutes to write completions, as labelers would get them.

    One that waits for a manager is deployed first: without samples of its own nobody can say
    whether the reward model knows them.
    """
    checkpoint = row["checkpoints"]["ppo"]
    if row["state"] == "waiting":
        owner.post(f"projects/{PROJECT}/deployments/", {"checkpoint": checkpoint})
    checkpoints = owner.pages(f"projects/{PROJECT}/checkpoints/")
    source = next(row["source"] for row in checkpoints if row["id"] == checkpoint)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        written = owner.pages(f"projects/{PROJECT}/completions/")
        if sum(row["source"]["id"] == source for row in written) >= enough:
            return
        time.sleep(5)


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
    prompts = [last_turn(text["messages"]) for text in texts]
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
