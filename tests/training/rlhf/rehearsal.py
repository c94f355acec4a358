"""Run directories for the tests: prompts, completions of the tiny model, a planted taste."""

import json
import random
from pathlib import Path

import torch

from training.configs import RunConfig
from training.rlhf.decoding import sample
from training.rlhf.features import FeatureRow
from training.rlhf.models import decode, encode_chat, load_language_model
from training.rlhf.process import Control
from training.rlhf.randomness import uniforms
from training.rlhf.ranked import RankedRows
from training.rlhf.rankings import Rankings
from training.rlhf.rundir import RunDirectory

TIME_FIELDS = ("time", "seconds_left")


def messages(text):
    return [{"role": "user", "content": text}]


def vowels(text):
    """The planted taste: the share of letters of the alphabet's first half."""
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter < "n" for letter in letters) / max(1, len(letters))


def prompt_rows(count, split="train", start=0):
    return [
        {"id": f"{split}-{i}", "split": split, "prompt": messages(f"tell me about number {i}")}
        for i in range(start, start + count)
    ]


def with_long_prompts(rows, *places):
    """The rows, those at `places` with a turn before their prompt that no small window holds."""
    turns = [*messages("x" * 200), {"role": "assistant", "content": "y"}]
    return [
        {**row, "prompt": [*turns, *row["prompt"]]} if place in places else row
        for place, row in enumerate(rows)
    ]


def completions(model, prompts, *, samples, max_new_tokens=24, seed=0):
    """[(text, finished), …] for each prompt row, sampled from the model."""
    torch.set_num_threads(1)
    lm = load_language_model(model, device="cpu", precision="float32")
    rollout = sample(
        lm,
        [encode_chat(lm, row["prompt"]) for row in prompts],
        samples=samples,
        max_new_tokens=max_new_tokens,
        temperature=1.0,
        uniforms=uniforms(seed, 0, [row["id"] for row in prompts], samples, max_new_tokens),
    )
    texts = [
        (decode(lm, rollout.completion(n)), bool(rollout.finished[n]))
        for n in range(len(prompts) * samples)
    ]
    return [texts[i * samples : (i + 1) * samples] for i in range(len(prompts))]


def ranking_rows(model, prompts, *, taste=vowels, samples=4, noise=0.0, seed=0):
    """A ranking of `samples` completions for each prompt by `taste`, seen through noise."""
    rng = random.Random(seed)
    rows = []
    for row, texts in zip(
        prompts, completions(model, prompts, samples=samples, seed=seed), strict=True
    ):
        seen = [taste(text) + rng.gauss(0, noise) for text, _ in texts]
        order = sorted(set(seen), reverse=True)
        rows.append(
            {
                "id": f"r-{row['id']}",
                "split": row["split"],
                "prompt": row["prompt"],
                "completions": [
                    {"id": f"{row['id']}-{n}", "text": text, "source": "base", "finished": done}
                    for n, (text, done) in enumerate(texts)
                ],
                "ranks": [order.index(value) + 1 for value in seen],
                "labeler": "one",
                "weight": 1.0,
            }
        )
    return rows


def two_rankings(*weights):
    """One of three completions, two of them tied, and one of two; the labels' weights."""
    texts = [("a", "abba"), ("a", "b"), ("a", "cab cab"), ("b", "dodo"), ("b", "no")]
    rows = [FeatureRow(messages(prompt), text, finished=True) for prompt, text in texts]
    rankings = Rankings(
        rows=[[0, 1, 2], [3, 4]], ranks=[[2, 1, 2], [1, 2]], prompts=["a", "b"], weights=weights
    )
    return RankedRows(rows, ["base"] * 5, rankings, ["1", "2"])


def write_run(folder: Path, config: RunConfig, **tables):
    """A run directory with config.json and data/<name>.jsonl for every table."""
    (folder / "data").mkdir(parents=True)
    (folder / "config.json").write_text(config.to_json())
    for name, rows in tables.items():
        lines = [json.dumps(row) + "\n" for row in rows]
        (folder / "data" / f"{name}.jsonl").write_text("".join(lines))
    return folder


def run_here(main, folder):
    """Run a recipe in this process; its metrics. The checkpoint is in folder/checkpoint."""
    directory = RunDirectory.open(folder)
    try:
        return main(directory, Control())
    finally:
        directory.close()


def log(folder, name="metrics"):
    """The rows of metrics.jsonl without what depends on the clock."""
    path = folder / f"{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [timeless(row) for row in rows]


def timeless(row):
    return {
        key: value
        for key, value in row.items()
        if key not in TIME_FIELDS and not key.startswith("seconds_")
    }
