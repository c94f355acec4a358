"""Rounds for tests: runs claimed and closed as a worker would, without its processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labeling.models import Project, Prompt, Split
from tests import factories
from training import outcomes, rounds, runs
from training.artifacts import file_sha256
from training.launcher import run_directory
from training.models import Checkpoint, Round, Run

GOOD: dict[str, dict[str, Any]] = {
    "sft": {"loss": 2.0},
    "reward": {"oof_accuracy": 0.7, "oof_low": 0.62, "oof_high": 0.78},
    "judge": {"oof_accuracy": 0.66, "oof_low": 0.58, "oof_high": 0.74},
    "best_of": {
        "best_of_win_rate": 0.62,
        "best_of_win_low": 0.55,
        "best_of_win_sure": 0.54,
        "best_of_win_high": 0.69,
    },
    "ppo": {"episodes": 512, "kl": 5.0},
    "evaluate": {
        "prompts": 200,
        "win_rate": 0.8,
        "win_low": 0.72,
        "win_sure": 0.71,
        "win_high": 0.87,
        "base_win_rate": 0.85,
        "base_win_low": 0.79,
        "base_win_high": 0.9,
        "kl": 6.0,
        "length": 30.0,
        "base_length": 33.0,
        "distinct2": 0.8,
        "base_distinct2": 0.88,
        "finished_share": 0.4,
    },
}
"""Results with which a round goes all the way."""


def start(project: Project, *, rankings: int = 2) -> Round:
    """A round of a project with some rankings and just enough evaluation prompts."""
    for _ in range(rankings):
        factories.make_ranking(project)
    add_evaluation_prompts(project)
    return begin(project)


def begin(project: Project) -> Round:
    """A round with its datasets frozen and its first run queued."""
    round_ = rounds.start_round(project=project)
    rounds.freeze(round_)
    return round_


def add_evaluation_prompts(project: Project, enough: int = rounds.MIN_EVALUATION_PROMPTS) -> None:
    """As many as are missing."""
    there = Prompt.objects.filter(project=project, split=Split.EVALUATION).count()
    for _ in range(enough - there):
        factories.make_prompt(project, split=Split.EVALUATION)


def claim() -> Run:
    """The next run of the queue, claimed."""
    run = runs.claim_next(worker="test", device="test:cpu")
    assert run is not None
    return run


def finish(run: Run, evaluation: list[dict[str, Any]] | None = None, **results: Any) -> None:
    """Close a claimed run with its good results, and `results` over them."""
    folder = run_directory(run)
    (folder / "checkpoint").mkdir(parents=True)
    manifest = folder / "checkpoint" / "manifest.json"
    manifest.write_text(f'{{"run": {run.pk}}}')
    if evaluation is not None:
        write_rows(folder / "evaluation.jsonl", evaluation)
    sha256 = file_sha256(manifest)
    result = {"status": "succeeded", "metrics": GOOD[run.kind] | results, "sha256": sha256}
    outcomes.take_in(run, folder, result)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """One JSON object a line."""
    import json

    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def finish_until(kind: str) -> Run:
    """Finish the queue's runs well until one of `kind` is claimed; that run."""
    run = claim()
    while run.kind != kind:
        finish(run)
        run = claim()
    return run


def make_policy(project: Project) -> Checkpoint:
    """A policy that a round has trained and that waits for its evaluation."""
    start(project)
    finish(finish_until("ppo"))
    return Checkpoint.objects.filter(project=project, kind="policy").latest("pk")
