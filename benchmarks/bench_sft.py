"""Supervised fine-tuning against TRL's: the same model, texts, batches and trained weights.

    python -m benchmarks.bench_sft

Batches of 8 demonstrations; a prompt and an answer of about 128 tokens together, the loss on the
answer alone. Each side runs in float32 and, where the machine is faster in it, in bfloat16 (TRL:
autocast), a process each, and its fastest counts. Seconds are the median step's; memory is the
whole process's, at its peak.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks import report
from benchmarks.bench_sample import PROMPTS
from benchmarks.measured import run_measured
from benchmarks.peer_packages import NEWEST, peer_environment
from benchmarks.recipes import NEVER, Speed, compared, metrics, precisions, run_recipe, write_run
from training.configs import SftConfig
from training.rlhf.encoding import encode_completion, encode_prompt
from training.rlhf.features import FeatureRow
from training.rlhf.models import load_language_model
from training.rlhf.prepare_default_model import prepare_default_model

BATCH, STEPS, RANK = 8, 6, 16
WORDS = 75
"""Of an answer: about 100 tokens."""
WORKS = (("LoRA in all layers", RANK), ("full fine-tuning", 0))


def demonstrations() -> list[dict[str, Any]]:
    """Answers put together from the prompts' words, one for each place of each batch."""
    rng = random.Random(0)
    words = [word for text in PROMPTS for word in text.split()]
    return [
        {
            "id": str(n),
            "split": "train",
            "prompt": [{"role": "user", "content": f"{PROMPTS[n % len(PROMPTS)]} ({n})"}],
            "completion": " ".join(rng.choices(words, k=WORDS)),
            "labeler": "l",
            "weight": 1.0,
        }
        for n in range(BATCH * STEPS)
    ]


def texts(model: Path) -> list[dict[str, list[int]]]:
    """The demonstrations as TRL takes them: token ids, and 1 for each that is learned."""
    lm = load_language_model(model, device="cpu", precision="bfloat16")
    found = []
    for item in demonstrations():
        row = FeatureRow(item["prompt"], item["completion"], finished=True)
        prompt, answer = encode_prompt(lm, row.messages, 512), encode_completion(lm, row, 512)
        mask = [0] * len(prompt) + [1] * len(answer)
        found.append({"input_ids": prompt + answer, "completion_mask": mask})
    return found


def ours(folder: Path, model: Path, rank: int, precision: Any) -> Speed:
    """The median step of our recipe."""
    config = SftConfig(
        base=str(model),
        precision=precision,
        epochs=1,
        batch=BATCH,
        learning_rate=1e-5,
        lora_rank=rank,
        validation_share=0.0,
        save_every=NEVER,
    )
    write_run(folder, config, demonstrations=demonstrations())
    peak = run_recipe(folder, "sft")
    times = [row["time"] for row in metrics(folder)]
    return Speed(statistics.median(b - a for a, b in itertools.pairwise(times)), peak)


def peers(folder: Path, model: Path, rank: int, *, bfloat16: bool) -> Speed:
    """The same of TRL's trainer."""
    folder.mkdir(parents=True)
    work = {
        "model": str(model),
        "texts": texts(model),
        "batch": BATCH,
        "steps": STEPS,
        "lora_rank": rank,
        "bfloat16": bfloat16,
        "threads": torch.get_num_threads(),
    }
    path = folder / "work.json"
    path.write_text(json.dumps(work), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.peers.trl_sft", str(path)]
    done = run_measured(command, peer_environment(NEWEST))
    seconds = json.loads(done.output.splitlines()[-1])["seconds"]
    return Speed(statistics.median(seconds[1:]), done.peak)


def measure(folder: Path, model: Path, name: str, rank: int, tokens: float) -> list[report.Row]:
    """The rows of one work. tokens: of a step, prompts and answers."""
    own = {p: ours(folder / f"ours-{p}", model, rank, p) for p in precisions()}
    peer = {
        p: peers(folder / f"peer-{p}", model, rank, bfloat16=p == "bfloat16") for p in precisions()
    }
    sys.stderr.write(f"{name}: ours {own}, peer {peer}\n")
    return compared(f"SFT, {name}", "tokens/s", tokens, own, peer)


def main() -> int:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = folder / "model"
        prepare_default_model(model)
        tokens = sum(len(text["input_ids"]) for text in texts(model)) / STEPS
        rows = [
            row
            for name, rank in WORKS
            for row in measure(folder / str(rank), model, name, rank, tokens)
        ]
    for row in rows:
        sys.stderr.write(f"{row}\n")
    report.write("sft", rows, note="The peer is TRL 1.16's SFTTrainer.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
