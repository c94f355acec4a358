"""A real database with up to millions of completions, ranked and waiting, written in bulk.

Run as a process of its own (`python -m benchmarks.many_rankings NAME=PAIRS …`), with RANKLOOP_DATA
set: it prints, as JSON, the secret of a token that reads the projects.
"""

from __future__ import annotations

import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.core.management import call_command
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from benchmarks import django_ready  # noqa: F401  # first: models need it
from labeling.completions import source_for
from labeling.models import (
    Assignment,
    Completion,
    Project,
    Prompt,
    RankedCompletion,
    Ranking,
    Role,
    Slate,
    SlateCompletion,
    Source,
    User,
    WorkDay,
)
from labeling.people import create_user, issue_token, set_role
from labeling.projects import create_project
from labeling.prompts import NewPrompt, add_prompts, messages_of

K = 4
PAIRS_EACH = K * (K - 1) // 2
PROMPTS = 5_000
BATCH = 2_000
"""Slates in a transaction."""
DAYS = 60
"""Over which the rankings are spread."""
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
    scene = scene_of(rng, name=name, by=by, prompts=PROMPTS, labelers=5)
    add_slates(rng, scene, ranked=-(-pairs // PAIRS_EACH))
    return scene.project


def scene_of(rng: random.Random, *, name: str, by: User, prompts: int, labelers: int) -> Scene:
    """A project with prompts, two models and labelers, and nothing to rank yet."""
    project = create_project(by=by, name=name, k=K)
    messages = [messages_of(f"{_text(rng, 12)} {number}") for number in range(prompts)]
    add_prompts(project=project, rows=[NewPrompt(messages=one) for one in messages])
    people = [create_user(username=f"{project.slug}-{number}") for number in range(labelers)]
    for one in people:
        set_role(project=project, user=one, role=Role.LABELER)
    return Scene(
        project=project,
        prompts=list(Prompt.objects.filter(project=project).values_list("pk", flat=True)),
        sources=[
            source_for(project=project, kind=kind, name=label)
            for kind, label in ((Source.Kind.BASE, "base 1"), (Source.Kind.POLICY, "policy 1"))
        ],
        labelers=people,
    )


def add_slates(
    rng: random.Random, scene: Scene, *, ranked: int, waiting: int = 0, overlap: int = 1
) -> None:
    """So many slates that the labelers ranked by turns over the last days, and so many open.

    overlap: the slots of each open one.
    """
    days = _Days()
    for first in range(0, ranked + waiting, BATCH):
        numbers = range(first, min(first + BATCH, ranked + waiting))
        with transaction.atomic():
            slates, completions = _slates(rng, scene, numbers)
            done = sum(number < ranked for number in numbers)
            _open(scene, slates[done:], overlap)
            _ranked(rng, scene, slates[:done], completions, days)
    days.store(scene.project)


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words)).capitalize() + "."


def _slates(
    rng: random.Random, scene: Scene, numbers: range
) -> tuple[list[Slate], list[Completion]]:
    """Slates and their completions, K for each in its order."""
    of_slate = [scene.prompts[number % len(scene.prompts)] for number in numbers]
    completions = _stored(
        Completion,
        (
            Completion(
                prompt_id=prompt,
                source=scene.sources[place % 2],
                external_id=f"{number}-{place}",
                text=_text(rng, rng.randint(15, 60)),
                finished=rng.random() < 0.9,
            )
            for number, prompt in zip(numbers, of_slate, strict=True)
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
    return slates, completions


def _open(scene: Scene, slates: list[Slate], overlap: int) -> None:
    """Free slots."""
    _stored(
        Assignment,
        (
            Assignment(slate=one, project=scene.project, slot=slot, order="0123")
            for one in slates
            for slot in range(overlap)
        ),
    )


class _Days:
    """When the labelers submitted, and what their work days say of it."""

    def __init__(self) -> None:
        self.now = timezone.now()
        self.work: dict[tuple[int, date], list[float]] = defaultdict(list)

    def submitted(self, rng: random.Random, labeler: User, seconds: float) -> datetime:
        """A moment of the last DAYS days, counted."""
        moment = self.now - timedelta(days=rng.uniform(0, DAYS))
        self.work[labeler.pk, timezone.localdate(moment)].append(seconds)
        return moment

    def store(self, project: Project) -> None:
        _stored(
            WorkDay,
            (
                WorkDay(
                    project=project,
                    labeler_id=labeler,
                    day=day,
                    rankings=len(seconds),
                    seconds=sum(seconds),
                )
                for (labeler, day), seconds in self.work.items()
            ),
        )


def _ranked(
    rng: random.Random,
    scene: Scene,
    slates: list[Slate],
    completions: list[Completion],
    days: _Days,
) -> None:
    """Each slate ranked without ties by one labeler."""
    turns = [scene.labelers[slate.pk % len(scene.labelers)] for slate in slates]
    taken = [rng.uniform(5, 60) for _ in slates]
    moments = [days.submitted(rng, *one) for one in zip(turns, taken, strict=True)]
    assignments = _stored(
        Assignment,
        (
            Assignment(
                slate=slate,
                project=scene.project,
                slot=0,
                order="0123",
                state=Assignment.State.DONE,
                labeler=labeler,
                opened_at=moment - timedelta(seconds=seconds),
                completed_at=moment,
            )
            for slate, labeler, seconds, moment in zip(slates, turns, taken, moments, strict=True)
        ),
    )
    with _own_times(Ranking):
        rankings = _stored(
            Ranking,
            (
                Ranking(
                    assignment=assignment,
                    slate=assignment.slate,
                    labeler=assignment.labeler,
                    seconds=seconds,
                    created_at=assignment.completed_at,
                )
                for assignment, seconds in zip(assignments, taken, strict=True)
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


@contextmanager
def _own_times(model: type[Model]) -> Iterator[None]:
    """Rows keep the `created_at` that they come with."""
    field: Any = model._meta.get_field("created_at")  # noqa: SLF001 - Django's documented API
    field.auto_now_add = False
    try:
        yield
    finally:
        field.auto_now_add = True


def _stored(model: Any, rows: Iterable[Any]) -> list[Any]:
    return list(model.objects.bulk_create(rows, batch_size=BATCH * K))


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
