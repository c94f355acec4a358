"""A project in which the loop has turned three times and turns again: rows for pages to show.

Everything that a verb of the product makes is made by it; numbers that a trainer would report are
written as rows, with curves shaped like those of a real run.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from labeling.completions import NewCompletion, add_completions
from labeling.models import Project, Prompt, Ranking, Split, User
from labeling.prompts import NewPrompt, add_prompts
from labeling.slates import open_slate
from tests.factories import make_labeler, make_manager, make_project, make_ranking
from training import checkpoints, deployments
from training.datasets import freeze_prompts, freeze_rankings
from training.models import (
    Checkpoint,
    Dataset,
    Deployment,
    Evaluation,
    EvaluationText,
    Round,
    Run,
    RunMetric,
    RunResult,
    RunSample,
)
from training.plans import plan_of
from training.run_configs import run_config

TOPICS = (
    "a rainy Sunday in the mountains",
    "how bread rises",
    "the first day at a new school",
    "why the sky is blue",
    "a letter to a neighbour about noise",
    "three names for a small café",
    "what a compiler does",
    "how to keep tomatoes fresh",
    "the moon seen by a child",
    "a polite refusal of an invitation",
)
FORMS = ("Write two sentences about", "Explain in plain words", "Give a short answer about")


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """What a test needs of the seeded project."""

    project: Project
    manager: User
    rounds: list[Round]
    ppo: Run
    """The last round's policy run: running where `live`, else done."""
    evaluation: Evaluation
    dataset: Dataset


def seed_loop(
    *, rounds: int = 3, live: bool = True, rankings: int = 12, steps: int = 24, name: str = ""
) -> Seeded:
    """A project with `rounds` finished rounds and, where `live`, one that is at its policy."""
    manager = None
    project = make_project(name=name or "Seeded")
    manager = make_manager(project)
    labelers = [make_labeler(project), make_labeler(project)]
    prompts = _prompts(project)
    base = checkpoints.base_checkpoint(project)
    Deployment.objects.create(project=project, checkpoint=base, kind=Deployment.Kind.FIRST)
    _rank(project, prompts, labelers, base, rankings)
    made = [_round(project, manager, number, steps) for number in range(1, rounds + 1)]
    last = _round(project, manager, rounds + 1, steps, stop_at=Run.Kind.PPO) if live else made[-1]
    ppo = last.runs.get(kind=Run.Kind.PPO)
    evaluation = Evaluation.objects.filter(run__project=project).latest("pk")
    dataset = Dataset.objects.filter(project=project, kind=Dataset.Kind.RANKINGS).latest("pk")
    return Seeded(
        project=project,
        manager=manager,
        rounds=[*made, last] if live else made,
        ppo=ppo,
        evaluation=evaluation,
        dataset=dataset,
    )


def _prompts(project: Project) -> list[Prompt]:
    texts = [f"{form} {topic}, number {n}." for n in range(4) for form in FORMS for topic in TOPICS]
    rows = [NewPrompt(messages=[{"role": "user", "content": text}]) for text in texts]
    add_prompts(project=project, rows=rows)
    return list(Prompt.objects.filter(project=project).order_by("pk"))


def _text(rng: random.Random, kind: str) -> str:
    openings = {
        "base": "There are many things to say about this, and it depends on several factors",
        "policy": "Short and clear: this is a lovely thing, and here is why",
    }
    rest = rng.choice(["warm light", "good company", "a little patience", "fresh air", "a plan"])
    return f"{openings[kind]}: {rest}, {rng.choice(['always', 'often', 'in the end'])}."


def _rank(
    project: Project, prompts: list[Prompt], labelers: list[User], base: Checkpoint, count: int
) -> None:
    assert base.source is not None, "a base has a source"
    rng = random.Random(1)
    train = [prompt for prompt in prompts if prompt.split == Split.TRAIN]
    for place, prompt in enumerate(train[: count + 3]):
        completions = add_completions(
            prompt=prompt,
            completions=[
                NewCompletion(source=base.source, external_id=f"s{k}", text=_text(rng, "base"))
                for k in range(project.k)
            ],
        )
        open_slate(prompt=prompt, completions=completions, overlap=2 if place < count // 2 else 1)
    for place in range(count):
        for labeler in labelers[: 2 if place < count // 2 else 1]:
            ranks = list(range(1, project.k + 1))
            if rng.random() < 0.5:
                ranks[0], ranks[1] = ranks[1], ranks[0]
            made = make_ranking(project, labeler, ranks)
            then = timezone.now() - timedelta(days=place % 9, hours=place % 5)
            Ranking.objects.filter(pk=made.pk).update(created_at=then)


def _round(project: Project, manager: User, number: int, steps: int, stop_at: str = "") -> Round:
    began = timezone.now() - timedelta(days=(4 - number) * 2 if not stop_at else 0, minutes=14)
    frozen = [
        freeze_rankings(project=project, by=manager),
        freeze_prompts(project=project, evaluation_prompts=40, by=manager),
    ]
    round_ = Round.objects.create(
        project=project,
        number=number,
        step=stop_at or Round.Step.DECIDE,
        trigger=Round.Trigger.RANKINGS if number % 2 else Round.Trigger.HAND,
        started_by=None if number % 2 else manager,
        rankings_at_start=frozen[0].rows,
        state=Round.State.OPEN,
    )
    Round.objects.filter(pk=round_.pk).update(created_at=began)
    round_.datasets.set(frozen)
    for place, kind in enumerate(
        (Run.Kind.REWARD, Run.Kind.JUDGE, Run.Kind.BEST_OF, Run.Kind.PPO, Run.Kind.EVALUATE)
    ):
        running = kind == stop_at
        then = began + timedelta(minutes=3 * place)
        _run(round_, kind, frozen, began=then, steps=steps, running=running)
        if running:
            return round_
    evaluation = Evaluation.objects.get(round=round_)
    deployments.deploy(checkpoint=evaluation.candidate, by=manager, evaluation=evaluation)
    Round.objects.filter(pk=round_.pk).update(finished_at=began + timedelta(minutes=16))
    round_.refresh_from_db()
    return round_


def _run(
    round_: Round, kind: str, frozen: list[Dataset], *, began: Any, steps: int, running: bool
) -> Run:
    project, number = round_.project, round_.number
    of_round = {str(one.kind): one for one in Checkpoint.objects.filter(run__round=round_)}
    deployed = deployments.current_or_first(project).checkpoint
    config = run_config(plan=plan_of(project), project=project, kind=kind, seed=number)
    if kind == Run.Kind.PPO:
        config |= {"episodes": 384, "learning_rate": 3e-4}
    starts = {"ppo": deployed, "evaluate": of_round.get("policy")}
    start = starts.get(str(kind))
    run = Run.objects.create(
        project=project,
        round=round_,
        kind=kind,
        config=config,
        base=checkpoints.base_checkpoint(project),
        start=start,
        deployed=deployed if kind == Run.Kind.EVALUATE else None,
        reward=of_round.get("reward") if kind in (Run.Kind.BEST_OF, Run.Kind.PPO) else None,
        judge=of_round.get("judge") if kind not in (Run.Kind.REWARD, Run.Kind.JUDGE) else None,
        state=Run.State.RUNNING if running else Run.State.SUCCEEDED,
        started_at=began,
        finished_at=None if running else began + timedelta(minutes=2, seconds=40),
        heartbeat_at=timezone.now() if running else None,
        attempt=1,
        device="trainer-1:cpu",
        worker="trainer-1:4711:1",
        step=steps * 2 // 5 if running else steps,
        total_steps=steps,
        seconds_left=312.0 if running else 0.0,
        log_tail=LOG,
    )
    run.datasets.set(frozen)
    _metrics(run, run.step, number)
    if not running:
        _results(run, number)
        if checkpoints.record(run, artifact=f"checkpoints/{run.pk}", sha256=f"{run.pk:064x}"):
            Checkpoint.objects.filter(run=run).update(created_at=run.finished_at)
        if kind == Run.Kind.EVALUATE:
            _evaluation(run, number)
    return run


LOG = """\
precision bfloat16 (measured: 365 against 146 GFLOP/s), 2 threads
base samples that end by themselves: 86 %; a missing end costs 1.0
batch 1: reward 0.02 kl 0.00 beta 0.100 length 37.1, 16.1 s
batch 2: reward 0.19 kl 0.21 beta 0.094 length 36.4, 15.8 s
"""


def _metrics(run: Run, steps: int, number: int) -> None:
    rng = random.Random(run.pk)
    rows: dict[str, list[tuple[int, float]]] = {}
    for step in range(1, steps + 1):
        share = step / 24
        noise = rng.gauss(0, 0.06)
        if run.kind == Run.Kind.PPO:
            now = {
                "reward": 1.6 * (1 - math.exp(-2.2 * share)) + noise,
                "score": 2.3 * (1 - math.exp(-2.0 * share)) + noise,
                "kl": 7.4 * share**1.4 + abs(noise),
                "beta": 0.1 * math.exp(0.2 * math.sin(5 * share)),
                "entropy": 2.6 - 0.7 * share + noise / 3,
                "length": 37 - 4 * share + 8 * noise,
                "finished_share": min(0.86 + 0.1 * share + noise / 8, 1.0),
                "clip_share": 0.06 + 0.09 * share + noise / 6,
                "gradient_norm": 1.1 + 0.4 * math.sin(7 * share) + noise,
                "policy_loss": -0.02 + noise / 20,
                "ratio_first": 1.0,
                "seconds_sampling": 5.2 + noise,
            }
            if step % 4 == 0:
                now["judge_win_rate"] = min(0.52 + 0.34 * share + noise / 2, 0.97)
        elif run.kind in (Run.Kind.REWARD, Run.Kind.JUDGE):
            now = {
                "loss": 0.69 - 0.16 * (1 - math.exp(-3 * share)) + noise / 8,
                "accuracy": 0.5 + 0.24 * (1 - math.exp(-3 * share)) + noise / 8,
            }
        else:
            continue
        for name, value in now.items():
            rows.setdefault(name, []).append((step, value))
    RunMetric.objects.bulk_create(
        RunMetric(run=run, name=name, step=step, value=value)
        for name, points in rows.items()
        for step, value in points
    )
    if run.kind == Run.Kind.PPO:
        RunSample.objects.bulk_create(
            RunSample(
                run=run,
                number=n,
                step=4 + 4 * (n // 2),
                prompt=f"Write two sentences about {TOPICS[n]}.",
                before=_text(rng, "base"),
                after=_text(rng, "policy"),
                score=0.4 + 0.3 * n,
            )
            for n in range(4)
        )


def _results(run: Run, number: int) -> None:
    by_kind: dict[str, dict[str, float]] = {
        Run.Kind.REWARD: {
            "oof_accuracy": 0.64 + 0.025 * number,
            "oof_low": 0.60 + 0.025 * number,
            "oof_high": 0.68 + 0.025 * number,
            "oof_log_loss": 0.61,
            "pairs": 1240.0 * number,
            "rankings": 210.0 * number,
            "tied_pairs": 44.0,
        },
        Run.Kind.BEST_OF: {
            "best_of_win_rate": 0.66,
            "best_of_win_low": 0.58,
            "best_of_win_sure": 0.57,
            "best_of_win_high": 0.73,
        },
        Run.Kind.PPO: {"episodes": 384.0, "kl": 4.4 + number, "picked_episode": 320.0},
        Run.Kind.EVALUATE: {
            "win_rate": 0.61,
            "win_low": 0.53,
            "win_sure": 0.51,
            "win_high": 0.69,
            "deployed_length": 34.2,
            "score": 1.4,
            "base_score": 0.02,
        },
    }
    by_kind[Run.Kind.JUDGE] = {**by_kind[Run.Kind.REWARD], "pairs": 310.0}
    RunResult.objects.bulk_create(
        RunResult(run=run, name=name, value=value) for name, value in by_kind[run.kind].items()
    )


def _evaluation(run: Run, number: int) -> None:
    assert run.start is not None, "an evaluation has a candidate"
    assert run.deployed is not None, "an evaluation has a policy to compare with"
    rng = random.Random(number)
    evaluation = Evaluation.objects.create(
        run=run,
        round=run.round,
        candidate=run.start,
        deployed=run.deployed,
        look=number,
        prompts=40,
        win_rate=0.6 + 0.02 * number,
        win_low=0.52 + 0.02 * number,
        win_sure=0.51 + 0.02 * number,
        win_high=0.68 + 0.02 * number,
        base_win_rate=0.62 + 0.09 * number,
        base_win_low=0.54 + 0.09 * number,
        base_win_high=min(0.70 + 0.08 * number, 0.99),
        kl=3.1 + 1.6 * number,
        length=35.0 - number,
        base_length=37.0,
        distinct2=0.88 - 0.02 * number,
        base_distinct2=0.89,
        finished_share=0.9,
    )
    Evaluation.objects.filter(pk=evaluation.pk).update(created_at=run.finished_at)
    prompts = Prompt.objects.filter(project=run.project, split=Split.EVALUATION)[:40]
    base_deployed = run.deployed.kind == Checkpoint.Kind.BASE
    EvaluationText.objects.bulk_create(
        EvaluationText(
            evaluation=evaluation,
            prompt=prompt,
            candidate=_text(rng, "policy"),
            deployed=None if base_deployed else _text(rng, "policy"),
            base=_text(rng, "base"),
            candidate_score=rng.gauss(1.2, 0.6),
            deployed_score=None if base_deployed else rng.gauss(0.7, 0.6),
            base_score=rng.gauss(0.0, 0.8),
        )
        for prompt in prompts
    )
