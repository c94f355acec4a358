"""How fast the default model samples: our loop, transformers' `generate`, and the machine's limit.

    python -m benchmarks.bench_sample [--model FOLDER]

The same work for both: 64 completions of 64 new tokens, EOS ignored, the whole distribution at
temperature 1, by the same weights. Each is measured in float32 and in bfloat16, in turns, and its
best counts. The limit is what the machine's matrix products alone would take for that work.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import report
from training.rlhf.decoding import sample
from training.rlhf.models import LanguageModel, encode_chat, load_language_model
from training.rlhf.precision import Precision
from training.rlhf.prepare_default_model import prepare_default_model
from training.rlhf.randomness import uniforms

NEW_TOKENS, ROUNDS = 64, 3
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")

PROMPTS = [
    "Write two sentences about the sea for a child.",
    "Explain in one sentence why the sky is blue.",
    "Give me a tip for sleeping better at night.",
    "Name a dish with rice and say what is good about it.",
    "Write the first line of a letter to an old friend.",
    "What should I think of before I adopt a dog?",
    "Say something kind to someone who lost a game.",
    "Describe autumn in a small town in two sentences.",
    "How do I keep bread from going stale so fast?",
    "Write a short advertisement for a repair café.",
    "What is the difference between a lake and a pond?",
    "Suggest a name for a bakery and say why it fits.",
    "Summarise why people like to walk in the woods.",
    "Write a question that I could ask a new neighbour.",
    "Tell me how to make tea that isn't bitter.",
    "Give a reason to learn a second language.",
]


def completions_seconds(lm: LanguageModel, prompts: list[list[int]], samples: int) -> float:
    """Seconds of our loop."""
    rows = len(prompts) * samples
    numbers = uniforms(0, 0, list(range(rows)), 1, NEW_TOKENS)
    endless = dataclasses.replace(lm, eos_ids=())
    start = time.perf_counter()
    rollout = sample(
        endless,
        prompts,
        samples=samples,
        max_new_tokens=NEW_TOKENS,
        temperature=1.0,
        uniforms=numbers,
    )
    seconds = time.perf_counter() - start
    if int(rollout.batch.mask.sum()) != rows * NEW_TOKENS:
        raise AssertionError("our loop stopped early")
    return seconds


def generate_seconds(lm: LanguageModel, prompts: list[list[int]], samples: int) -> float:
    """Seconds of transformers' generate, left-padded, its own cache and its own sampling."""
    texts = lm.tokenizer.pad(
        {"input_ids": prompts}, padding=True, padding_side="left", return_tensors="pt"
    )
    model: Any = lm.model
    model.generation_config.eos_token_id = None
    start = time.perf_counter()
    output = model.generate(
        **texts,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=NEW_TOKENS,
        num_return_sequences=samples,
        pad_token_id=lm.pad_id,
    )
    seconds = time.perf_counter() - start
    if output.shape != (len(prompts) * samples, texts["input_ids"].shape[1] + NEW_TOKENS):
        raise AssertionError("generate stopped early")
    return seconds


def product_flops(dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product: the best of several."""
    size = 2048
    left, right = torch.ones(size, size, dtype=dtype), torch.ones(size, size, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def work(lm: LanguageModel, prompts: list[list[int]], samples: int) -> float:
    """Operations of the matrix products, each prompt computed once; attention not counted."""
    layers = sum(weight.numel() for block in lm.blocks for weight in block.weights.values())
    inner = sum(map(len, prompts)) + len(prompts) * samples * (NEW_TOKENS - 1)
    outer = len(prompts) * (1 + samples * (NEW_TOKENS - 1))
    return 2.0 * (layers * inner + lm.head.numel() * outer)


def measure(models: dict[Precision, LanguageModel], count: int, samples: int) -> list[report.Row]:
    """Rows for `count` prompts × `samples` completions; ours and the peer take turns."""
    any_model = models["float32"]
    prompts = [encode_chat(any_model, [{"role": "user", "content": t}]) for t in PROMPTS[:count]]
    tokens = count * samples * NEW_TOKENS
    ours, peer = dict.fromkeys(models, 0.0), dict.fromkeys(models, 0.0)
    for _ in range(ROUNDS):
        for best, measured in ((ours, completions_seconds), (peer, generate_seconds)):
            for precision, lm in models.items():
                best[precision] = max(best[precision], tokens / measured(lm, prompts, samples))
    limits = {p: product_flops(lm.dtype) / work(lm, prompts, samples) for p, lm in models.items()}
    fastest = max(ours, key=lambda precision: ours[precision])
    limit = limits[fastest] * tokens
    name = f"{count} prompts × {samples} samples × {NEW_TOKENS} tokens"
    rows = [
        report.row(
            f"{name}, best precision", "new tokens/s", max(ours.values()), max(peer.values())
        ),
        *(
            report.row(f"{name}, {precision}", "new tokens/s", ours[precision], peer[precision])
            for precision in models
        ),
        report.row(f"{name}, limit of {fastest} matrix products", "new tokens/s", limit),
        report.row(
            f"{name}, share of that limit",
            "%",
            100 * max(ours.values()) / limit,
            100 * max(peer.values()) / limit,
        ),
    ]
    for item in rows:
        sys.stderr.write(f"{item}\n")
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure sampling against transformers.")
    parser.add_argument("--model", type=Path, help="a model folder; else the default model is made")
    model: Path | None = parser.parse_args().model
    busy = os.getloadavg()[0]
    if busy > 0.5:
        sys.stderr.write(f"The load is {busy:.1f}: something else runs, and the numbers suffer.\n")
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            model = Path(folder) / "default"
            prepare_default_model(model)
        models = {
            precision: load_language_model(model, device="cpu", precision=precision)
            for precision in PRECISIONS
        }
        rows = [*measure(models, 16, 4), *measure(models, 2, 4)]
    sys.stderr.write(f"{report.write('sample', rows)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
