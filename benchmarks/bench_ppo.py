"""PPO against TRL's: the same model, prompts, batch, lengths, epochs and trained weights.

    python -m benchmarks.bench_ppo [--only TEXT] [--batches 6]

Batches of 8 prompts, 32 new tokens each with EOS ignored, 4 epochs of one minibatch. TRL's last PPO
trainer keeps four models: policy, reference (unless LoRA), reward and value; ours switches adapters
on one. Each side runs in float32 and, where the machine is faster in it, in bfloat16 (TRL:
autocast), a process each, and its fastest counts. Seconds are the median batch's; memory is the
whole process's, at its peak.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import report
from benchmarks.bench_sample import PROMPTS
from benchmarks.measured import run_measured
from benchmarks.peer_packages import PPO, peer_environment
from benchmarks.recipes import (
    MIB,
    NEVER,
    Speed,
    compared,
    metrics,
    precisions,
    run_recipe,
    write_run,
)
from training.configs import PpoConfig, RewardConfig
from training.rlhf.models import encode_chat, load_language_model
from training.rlhf.prepare_default_model import prepare_default_model

BATCH, NEW_TOKENS, EPOCHS, RANK = 8, 32, 4, 16
UNUSED = "<reponame>"
"""A special token that no completion contains: as EOS it never ends one."""


@dataclass(frozen=True)
class Work:
    """What is trained: LoRA of some rank in the top share of the layers, or (rank 0) everything."""

    name: str
    rank: int
    share: float


WORKS = (
    Work("LoRA in all layers", RANK, 1.0),
    Work("LoRA in the top third", RANK, 1 / 3),
    Work("full fine-tuning", 0, 1.0),
)


def make_endless_model(folder: Path) -> Path:
    """The default model, whose completions never end before the limit."""
    prepare_default_model(folder)
    (folder / "manifest.json").unlink()  # it would name the former tokenizer
    tokenizer_file = folder / "tokenizer_config.json"
    tokenizer = json.loads(tokenizer_file.read_text(encoding="utf-8"))
    tokenizer_file.write_text(json.dumps({**tokenizer, "eos_token": UNUSED}), encoding="utf-8")
    for name in ("config.json", "generation_config.json"):
        values = json.loads((folder / name).read_text(encoding="utf-8"))
        values.pop("eos_token_id", None)
        (folder / name).write_text(json.dumps(values), encoding="utf-8")
    return folder


def make_reward_model(model: Path, folder: Path) -> Path:
    """A probe that prefers the longer of two texts: what it likes is nothing to its speed."""
    completions = [" ".join(PROMPTS[n].split()[:words]) for n in range(4) for words in (3, 9)]
    rankings = [
        {
            "id": f"{split}-{n}",
            "split": split,
            "prompt": [{"role": "user", "content": f"{PROMPTS[n % len(PROMPTS)]} ({n})"}],
            "completions": [
                {"id": f"{n}-{i}", "text": completions[i], "source": "base", "finished": False}
                for i in (n % 8, (n + 1) % 8)
            ],
            "ranks": [2, 1] if n % 2 == 0 else [1, 2],
            "labeler": "l",
            "weight": 1.0,
        }
        for split, count in (("train", 48), ("rm_test", 16))
        for n in range(count)
    ]
    config = RewardConfig(base=str(model), finetune="never", folds=3, bootstrap=50)
    run_recipe(write_run(folder, config, rankings=rankings), "reward")
    return folder / "checkpoint"


def prompt_rows() -> list[dict[str, Any]]:
    """Four times the prompts to roll out, and some to look at."""
    asked = [(f"{text} ({n})", "train") for n in range(4) for text in PROMPTS]
    asked += [(text, "rm_test") for text in PROMPTS[:8]]
    return [
        {"id": str(n), "split": split, "prompt": [{"role": "user", "content": text}]}
        for n, (text, split) in enumerate(asked)
    ]


def ours(
    folder: Path, model: Path, reward: Path, work: Work, *, precision: Any, batches: int
) -> Speed:
    """Our recipe on the work: a process, its own clock from batch to batch."""
    config = PpoConfig(
        base=str(model),
        reward=str(reward),
        precision=precision,
        advantage="gae",
        critic="network",
        gae_lambda=0.95,
        lora_rank=work.rank,
        lora_top_share=work.share,
        learning_rate=1e-5,
        episodes=BATCH * batches,
        prompts_per_batch=BATCH,
        samples_per_prompt=1,
        epochs=EPOCHS,
        minibatches=1,
        max_new_tokens=NEW_TOKENS,
        kl_target=None,
        kl_step=None,
        ema=None,
        evaluate_every=NEVER,
        save_every=NEVER,
        development_samples=8,
    )
    write_run(folder, config, prompts=prompt_rows())
    peak = run_recipe(folder, "ppo")
    rows = [row for row in metrics(folder) if "seconds_train" in row]
    seconds = [row["seconds_sampling"] + row["seconds_train"] for row in rows[1:]]
    return Speed(statistics.median(seconds), peak)


def peers(folder: Path, model: Path, work: Work, *, bfloat16: bool, batches: int) -> Speed:
    """TRL on the same work."""
    folder.mkdir(parents=True)
    lm = load_language_model(model, device="cpu", precision="bfloat16")
    first = lm.layers - max(1, round(work.share * lm.layers))
    prompts = [encode_chat(lm, row["prompt"]) for row in prompt_rows() if row["split"] == "train"]
    given = {
        "model": str(model),
        "prompts": prompts,
        "batch": BATCH,
        "batches": batches,
        "new_tokens": NEW_TOKENS,
        "epochs": EPOCHS,
        "learning_rate": 1e-5,
        "lora_rank": work.rank,
        "layers": list(range(first, lm.layers)),
        "bfloat16": bfloat16,
        "threads": torch.get_num_threads(),
    }
    path = folder / "work.json"
    path.write_text(json.dumps(given), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.peers.trl_ppo", str(path)]
    done = run_measured(command, peer_environment(PPO))
    seconds = json.loads(done.output.splitlines()[-1])["seconds"]
    return Speed(statistics.median(seconds), done.peak)


def compare(folder: Path, model: Path, reward: Path, work: Work, batches: int) -> list[report.Row]:
    """The rows of one work: episodes a second, and memory of the faster setting of each."""
    found = {
        p: ours(folder / f"ours-{p}", model, reward, work, precision=p, batches=batches)
        for p in precisions()
    }
    theirs = {
        p: peers(folder / f"peer-{p}", model, work, bfloat16=p == "bfloat16", batches=batches)
        for p in precisions()
    }
    sys.stderr.write(f"{work.name}: ours {found}, peer {theirs}\n")
    return compared(f"PPO, {work.name}", "episodes/s", BATCH, found, theirs)


def own_step(folder: Path, model: Path, reward: Path) -> list[report.Row]:
    """The loop's own step, by the product's numbers: 16 prompts × 4 samples of 40 tokens."""
    config = PpoConfig(
        base=str(model),
        reward=str(reward),
        episodes=64 * 5,
        evaluate_every=NEVER,
        save_every=NEVER,
        development_samples=8,
    )
    write_run(folder, config, prompts=prompt_rows())
    peak = run_recipe(folder, "ppo")
    rows = [row for row in metrics(folder) if "seconds_train" in row][1:]
    parts = {
        part: statistics.median(row[f"seconds_{part}"] for row in rows)
        for part in ("sampling", "train")
    }
    name = "the loop's own step, 16 × 4 samples of 40 tokens"
    return [
        report.row(name, "episodes/s", 64 / sum(parts.values())),
        report.row(f"{name}: sampling, scores, two passes", "s", parts["sampling"]),
        report.row(f"{name}: training", "s", parts["train"]),
        report.row(f"{name}, peak memory", "MiB", peak / MIB),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure PPO against TRL's.")
    parser.add_argument("--only", default="", help="only works whose name contains this")
    parser.add_argument("--batches", type=int, default=6)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = make_endless_model(folder / "model")
        reward = make_reward_model(model, folder / "reward")
        rows = []
        for number, work in enumerate(work for work in WORKS if arguments.only in work.name):
            rows += compare(folder / str(number), model, reward, work, arguments.batches)
        if not arguments.only:
            rows += own_step(folder / "own", model, reward)
    for row in rows:
        sys.stderr.write(f"{row}\n")
    if not arguments.only:
        note = "The peer is TRL 1.12, the last release with a PPO trainer."
        report.write("ppo", rows, note=note)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
