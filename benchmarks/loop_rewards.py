"""How well each round's reward model knows the hidden gold score: what only a simulation can see.

Loads the reward models that a finished loop left in its folder and scores completions with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.loop_labelers import Gold
from training.rlhf.features import FeatureRow
from training.rlhf.models import load_language_model
from training.rlhf.precision import measure_precision
from training.rlhf.reward_model import load_reward_model

MOST_PROMPTS = 150


def add_reward_accuracy(
    rows: Sequence[dict[str, Any]],
    samples: Sequence[dict[str, Any]],
    checkpoints: Sequence[dict[str, Any]],
    gold: Gold,
    *,
    base: Path,
    folder: Path,
) -> None:
    """Add to each round: accuracy against the gold on reward-test prompts and on own pairs.

    rows: as `measure_round` gives them; rows of rounds without a reward model stay as they are.
    samples: completions, each with its prompt's messages and split. checkpoints: of the API.
    base: the whole model that all of them are fitted on. folder: the product's.
    """
    by_id = {checkpoint["id"]: checkpoint for checkpoint in checkpoints}
    tests = [sample for sample in samples if sample["split"] == "rm_test"]
    lm = load_language_model(base, device="cpu", precision=measure_precision("cpu"))
    for row in rows:
        if "reward" not in row.get("checkpoints", {}):
            continue
        reward = by_id[row["checkpoints"]["reward"]]
        model = load_reward_model(_stored(reward["sha256"], folder), lm)
        policy = by_id.get(row["checkpoints"].get("ppo"), {}).get("source")
        own = [sample for sample in samples if policy and sample["source"]["id"] == policy]
        for name, chosen in (("rm_gold_accuracy", tests), ("rm_own_pairs_accuracy", own)):
            row[name], row[f"{name}_pairs"] = _accuracy(model, chosen, gold)


def _stored(sha256: str, folder: Path) -> Path:
    """Where the artifacts store of `folder` holds the checkpoint of this sum."""
    for manifest in (folder / "artifacts").rglob("manifest.json"):
        if hashlib.sha256(manifest.read_bytes()).hexdigest() == sha256:
            return manifest.parent
    raise FileNotFoundError(f"no checkpoint of sum {sha256} under {folder / 'artifacts'}")


def _accuracy(
    model: Any, samples: Sequence[dict[str, Any]], gold: Gold
) -> tuple[float | None, int]:
    """Share of pairs of one prompt that the reward model orders as the gold does, and how many."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for sample in samples:
        groups.setdefault(sample["prompt"], []).append(sample)
    whole = [group for group in groups.values() if len(group) > 1][:MOST_PROMPTS]
    flat = [sample for group in whole for sample in group]
    if not flat:
        return None, 0
    scores = model.score(
        [FeatureRow(s["messages"], s["text"], s["finished"]) for s in flat]
    ).tolist()
    scored = {sample["id"]: score for sample, score in zip(flat, scores, strict=True)}
    right = total = 0.0
    for group in whole:
        prompt = group[0]["messages"][-1]["content"]
        for one, other in combinations(group, 2):
            gap = gold(prompt, one["text"]) - gold(prompt, other["text"])
            if gap:
                total += 1
                right += gap * (scored[one["id"]] - scored[other["id"]]) > 0
    return (right / total if total else None), int(total)
