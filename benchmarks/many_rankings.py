"""A real database file with hundreds of thousands of ranked completions, written in bulk.

Run as a process of its own (`python -m benchmarks.many_rankings`), with RANKLOOP_DATA set: it
prints, as JSON, the secret of a token that reads the projects.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.management import call_command
from django.db import transaction

from benchmarks import django_ready  # noqa: F401  # first: models need it
from labeling.completions import source_for
from labeling.models import (
    Assignment,
    Completion,
    Project,
    Prompt,
    RankedCompletion,
    Ranking,
    Slate,
    SlateCompletion,
    Source,
    User,
)
from labeling.people import create_user, issue_token
from labeling.projects import create_project
from labeling.prompts import NewPrompt, add_prompts

K = 4
PAIRS_EACH = K * (K - 1) // 2
PROMPTS = 5_000
BATCH = 2_000
SAYING = """
the a tea river garden morning answer because sometimes people would rather keep their window open
while rain falls on quiet streets and lamps begin to glow über naïve 茶 город
"""
WORDS = tuple(SAYING.split())


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the rows of a project refer to."""

    project: Project
    prompts: list[int]
    sources: list[Source]
    labelers: list[User]


def fill(*, name: str, pairs: int, by: User, seed: int) -> Project:
    """A project whose untied rankings of K completions make at least so many pairs."""
    rng = random.Random(seed)
    project = create_project(by=by, name=name, k=K)
    rankings = -(-pairs // PAIRS_EACH)
    messages = [[{"role": "user", "content": _text(rng, 12)}] for _ in range(PROMPTS)]
    add_prompts(project=project, rows=[NewPrompt(messages=one) for one in messages])
    scene = Scene(
        project=project,
        prompts=list(Prompt.objects.filter(project=project).values_list("pk", flat=True)),
        sources=[
            source_for(project=project, kind=kind, name=label)
            for kind, label in ((Source.Kind.BASE, "base 1"), (Source.Kind.POLICY, "policy 1"))
        ],
        labelers=[create_user(username=f"{project.slug}-{number}") for number in range(5)],
    )
    for first in range(0, rankings, BATCH):
        count = min(BATCH, rankings - first)
        with transaction.atomic():
            _rankings(rng, scene, first, count)
    return project


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(words)).capitalize() + "."


def _rankings(rng: random.Random, scene: Scene, first: int, count: int) -> None:
    """Slates, their completions, slots, and a ranking without ties for each."""
    of_slate = [scene.prompts[(first + place) % len(scene.prompts)] for place in range(count)]
    completions = _stored(
        Completion,
        (
            Completion(
                prompt_id=prompt,
                source=scene.sources[place % 2],
                external_id=f"{first + number}-{place}",
                text=_text(rng, rng.randint(15, 60)),
                finished=rng.random() < 0.9,
            )
            for number, prompt in enumerate(of_slate)
            for place in range(K)
        ),
    )
    slates = _stored(Slate, (Slate(project=scene.project, prompt_id=prompt) for prompt in of_slate))
    _stored(
        SlateCompletion,
        (
            SlateCompletion(slate=slate, completion=completions[number * K + place], position=place)
            for number, slate in enumerate(slates)
            for place in range(K)
        ),
    )
    assignments = _stored(
        Assignment,
        (
            Assignment(
                slate=slate,
                project=scene.project,
                slot=0,
                order="0123",
                state=Assignment.State.DONE,
                labeler=scene.labelers[number % len(scene.labelers)],
            )
            for number, slate in enumerate(slates)
        ),
    )
    rankings = _stored(
        Ranking,
        (
            Ranking(
                assignment=assignment,
                slate=assignment.slate,
                labeler=assignment.labeler,
                seconds=rng.uniform(5, 60),
            )
            for assignment in assignments
        ),
    )
    _stored(
        RankedCompletion,
        (
            RankedCompletion(ranking=ranking, completion=completions[number * K + place], rank=rank)
            for number, ranking in enumerate(rankings)
            for place, rank in enumerate(rng.sample(range(1, K + 1), K))
        ),
    )


def _stored(model: Any, rows: Iterable[Any]) -> list[Any]:
    return list(model.objects.bulk_create(rows, batch_size=500))


def main() -> None:
    """`NAME=PAIRS …`: migrate, fill, print the token's secret."""
    call_command("migrate", verbosity=0)
    boss = create_user(username="boss", superuser=True)
    slugs = {}
    for seed, argument in enumerate(sys.argv[1:]):
        name, _equals, pairs = argument.partition("=")
        slugs[name] = fill(name=name, pairs=int(pairs), by=boss, seed=seed).slug
    _token, secret = issue_token(user=boss, name="benchmark", scopes=["read"])
    print(json.dumps({"token": secret, "slugs": slugs}))


if __name__ == "__main__":
    main()
