"""What a finished round is worth by the hidden gold score, read over REST.

Knows the API and the gold, nothing of how a loop is run.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import combinations, pairwise
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

    One that was not deployed is deployed first: without samples of its own nobody can say
    whether the reward model knows them.
    """
    checkpoint = row["checkpoints"]["ppo"]
    if row["state"] != "deployed":
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


def measure_rounds(
    owner: Client, numbers: Sequence[int], gold: Gold, seed: int, *, since: str
) -> list[dict[str, Any]]:
    """A row for each round. since: when the loop began, as the API writes moments.

    A round's rankings took from the end of the last run before it to its own beginning: sampling
    is a part of that.
    """
    rows = []
    for number in numbers:
        row = owner.get(f"projects/{PROJECT}/rounds/{number}/")
        measured = measure_round(owner, row, gold, seed)
        measured["seconds"] = {"rankings": seconds_between(since, row["created_at"])} | measured[
            "seconds"
        ]
        rows.append(measured)
        since = max((run["finished_at"] or since for run in row["runs"]), default=since)
    return rows


def measure_round(owner: Client, row: Any, gold: Gold, seed: int) -> dict[str, Any]:
    """One row of the result: the round's policy beside the base, by the gold score."""
    runs = {
        run["kind"]: owner.get(f"projects/{PROJECT}/runs/{run['id']}/")
        for run in row["runs"]
        if run["state"] == "succeeded"
    }
    out: dict[str, Any] = {
        "round": row["number"],
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
    return seconds_between(run["started_at"], run["finished_at"])


def seconds_between(begun: str, ended: str) -> float:
    """From one moment to another, both as the API writes them."""
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()


def labeler_shares(gold: Gold, team: Team, owner: Client) -> tuple[float, float]:
    """Shares of all samples' pairs: one labeler is right by the gold, two agree with each other."""
    first, second = team.members[0][1], team.members[1][1]
    right, alike = [], []
    for prompt, texts in list(texts_by_prompt(owner).items())[:400]:
        scores = [-gold(prompt, text) for text in texts]
        one, other = (labeler.rank(gold, prompt, texts) for labeler in (first, second))
        for i, j in combinations(range(len(texts)), 2):
            if scores[i] != scores[j] and one[i] != one[j]:
                right.append((scores[i] < scores[j]) == (one[i] < one[j]))
            if one[i] != one[j] and other[i] != other[j]:
                alike.append((one[i] < one[j]) == (other[i] < other[j]))
    accuracy, agreement = (
        statistics.fmean(share) if share else float("nan") for share in (right, alike)
    )
    return accuracy, agreement
