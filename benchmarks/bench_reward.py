"""The reward model's training step against TRL's pairwise trainer, on the same comparisons.

    python -m benchmarks.bench_reward

Full fine-tuning of the default model on rankings of 4 and of 9 completions. Ours reads each prompt
and each completion once and takes all pairs from one batch element; pairwise, every completion is
read again for each pair that it stands in. Each side runs in float32 and, where the machine is
faster in it, in bfloat16 (TRL: autocast), a process each, and its fastest counts. Seconds are the
median step's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import report
from benchmarks.bench_sample import PROMPTS
from benchmarks.measured import run_measured
from benchmarks.peer_packages import NEWEST, peer_environment
from benchmarks.recipes import Speed, compared, precisions
from training.configs import RewardConfig
from training.records import Message
from training.rlhf.encoding import encode_completion, encode_prompt
from training.rlhf.features import FeatureRow
from training.rlhf.models import load_language_model
from training.rlhf.prepare_default_model import prepare_default_model
from training.rlhf.process import Control
from training.rlhf.ranked import RankedRows
from training.rlhf.rankings import Rankings
from training.rlhf.reward_tuning import RewardTuning

STEPS = 5
WORDS = 45
"""Of a completion: about 60 tokens."""
WORKS = ((4, 2, 0), (9, 1, 0), (4, 2, 90))
"""Completions a ranking, rankings a step, and words more in each prompt: about 23 tokens without,
about 135 with 90, so that both a question alone and a talk so far are measured. (For 9 completions
of a long prompt the peer needs more than 24 GB.)"""


def rankings_of(completions: int, count: int, more_words: int) -> list[list[FeatureRow]]:
    """`count` rankings, best first, of texts put together from the prompts' words."""
    rng = random.Random(0)
    words = [word for text in PROMPTS for word in text.split()]
    found = []
    for n in range(count):
        asked = " ".join([PROMPTS[n % len(PROMPTS)], f"({n})", *rng.choices(words, k=more_words)])
        prompt: list[Message] = [{"role": "user", "content": asked}]
        texts = [" ".join(rng.choices(words, k=WORDS)) for _ in range(completions)]
        found.append([FeatureRow(prompt, text, finished=True) for text in texts])
    return found


def our_steps(work: dict[str, Any]) -> list[float]:
    """Seconds of each of our steps, in this process."""
    torch.set_num_threads(work["threads"])
    base = load_language_model(work["model"], device="cpu", precision=work["precision"])
    ranked = rankings_of(work["completions"], work["rankings"] * work["steps"], work["more_words"])
    size = work["completions"]
    data = RankedRows(
        rows=[row for group in ranked for row in group],
        sources=["base"] * (size * len(ranked)),
        rankings=Rankings(
            rows=[list(range(n * size, (n + 1) * size)) for n in range(len(ranked))],
            ranks=[list(range(1, size + 1)) for _ in ranked],
            prompts=[str(n) for n in range(len(ranked))],
            weights=[1.0] * len(ranked),
        ),
        ids=[str(n) for n in range(len(ranked))],
    )
    config = RewardConfig(
        base=work["model"], finetune="always", lora_rank=0, batch=work["rankings"], epochs=1
    )
    tuning = RewardTuning(base, config, data, None, chosen=range(len(ranked)), key="bench")
    seconds = []
    for number in range(work["steps"]):
        start = time.monotonic()
        tuning.step(number, Control())
        seconds.append(time.monotonic() - start)
    return seconds


def pairs_of(model: Path, ranked: Sequence[Sequence[FeatureRow]]) -> list[dict[str, list[int]]]:
    """All pairs as TRL takes them: token ids of prompt and completion, chosen and rejected."""
    lm = load_language_model(model, device="cpu", precision="bfloat16")
    found = []
    for group in ranked:
        whole = [
            encode_prompt(lm, row.messages, 1024) + encode_completion(lm, row, 1024)
            for row in group
        ]
        found += [
            {"chosen_ids": better, "rejected_ids": worse}
            for better, worse in itertools.combinations(whole, 2)
        ]
    return found


def run_step(module: str, folder: Path, work: dict[str, Any], *, peer: bool) -> Speed:
    """Median seconds of a step but the first, and peak memory in bytes."""
    path = folder / "work.json"
    path.write_text(json.dumps(work), encoding="utf-8")
    command = [sys.executable, "-m", module, *(() if peer else ("--steps",)), str(path)]
    done = run_measured(command, peer_environment(NEWEST) if peer else None)
    seconds = json.loads(done.output.splitlines()[-1])["seconds"]
    return Speed(statistics.median(seconds[1:]), done.peak)


def measure(
    folder: Path, model: Path, completions: int, rankings: int, more_words: int
) -> list[report.Row]:
    """The rows of one size of ranking."""
    common = {
        "model": str(model),
        "completions": completions,
        "rankings": rankings,
        "more_words": more_words,
        "steps": STEPS,
        "threads": torch.get_num_threads(),
    }
    pairs = pairs_of(model, rankings_of(completions, rankings * STEPS, more_words))
    ours = {
        precision: run_step(
            "benchmarks.bench_reward", folder, {**common, "precision": precision}, peer=False
        )
        for precision in precisions()
    }
    peer = {
        precision: run_step(
            "benchmarks.peers.trl_reward",
            folder,
            {
                **common,
                "pairs": pairs,
                "pairs_per_step": len(pairs) // STEPS,
                "bfloat16": precision == "bfloat16",
            },
            peer=True,
        )
        for precision in precisions()
    }
    sys.stderr.write(f"K = {completions}, {more_words} words more: ours {ours}, peer {peer}\n")
    prompts = "long" if more_words else "short"
    name = f"reward model, K = {completions}, {prompts} prompts, {rankings} rankings a step"
    return compared(name, "rankings/s", rankings, ours, peer)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the reward model's step against TRL's.")
    parser.add_argument("--steps", type=Path, help="(inner) measure our steps of this work")
    work: Path | None = parser.parse_args().steps
    if work is not None:
        seconds = our_steps(json.loads(work.read_text(encoding="utf-8")))
        print(json.dumps({"seconds": seconds}))
        return 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = folder / "model"
        prepare_default_model(model)
        rows = [row for work in WORKS for row in measure(folder, model, *work)]
    for row in rows:
        sys.stderr.write(f"{row}\n")
    note = (
        "The peer is TRL 1.16's RewardTrainer on all pairs. Completions have about 60 tokens, "
        "short prompts 23, long ones 135."
    )
    report.write("reward", rows, note=note)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
