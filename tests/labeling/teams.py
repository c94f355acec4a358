"""A simulated team: eight labelers like any other, and four who are not. Rows are made in bulk.

Qualities of completions are drawn; an ordinary labeler sees them through noise, so that two of them
agree on 73 % of pairs (InstructGPT: 72.6 %). Two rank at random, one by the order shown, one by
length. Lengths have nothing to do with quality.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from labeling.models import (
    Assignment,
    Completion,
    Project,
    Prompt,
    RankedCompletion,
    Ranking,
    Slate,
    SlateCompletion,
    User,
)
from labeling.prompts import NewPrompt, add_prompts
from tests.factories import make_project, make_source

K = 4
ORDINARY = 8
CARELESS = (8, 9)
BY_PLACE = 10
BY_LENGTH = 11
NOISE = 0.72
"""Standard deviation, in units of the qualities' own: two agree on 73 % of pairs."""


@dataclass(frozen=True, kw_only=True)
class Team:
    """What a simulation left behind. quality: by completion id."""

    project: Project
    labelers: list[User]
    quality: dict[int, float]

    @property
    def odd(self) -> set[int]:
        """Ids of the four who are not like the others."""
        return {user.pk for user in self.labelers[ORDINARY:]}


def simulate(*, slates: int = 500, overlap: int = 3, seed: int = 0, name: str = "") -> Team:
    """A project in which twelve people ranked so many slates, `overlap` of them each."""
    chance = random.Random(seed)
    project = make_project(name=name, overlap=overlap, k=K)
    labelers = User.objects.bulk_create(
        User(username=f"team-{project.pk}-{number}") for number in range(12)
    )
    prompts = _prompts(project, slates)
    source = make_source(project)
    completions = Completion.objects.bulk_create(
        [
            Completion(
                prompt=prompt,
                source=source,
                external_id=f"{number}",
                text="a" * chance.randint(60, 400),
            )
            for prompt in prompts
            for number in range(K)
        ],
        batch_size=500,
    )
    quality = {one.pk: chance.gauss(0, 1) for one in completions}
    made = Slate.objects.bulk_create(
        [Slate(project=project, prompt=prompt) for prompt in prompts], batch_size=500
    )
    SlateCompletion.objects.bulk_create(
        [
            SlateCompletion(slate=made[number // K], completion=one, position=number % K)
            for number, one in enumerate(completions)
        ],
        batch_size=500,
    )
    assignments = Assignment.objects.bulk_create(
        [
            Assignment(
                slate=slate,
                project=project,
                slot=slot,
                state=Assignment.State.DONE,
                labeler=labelers[who],
                order="".join(chance.sample("0123", K)),
            )
            for slate in made
            for slot, who in enumerate(chance.sample(range(12), overlap))
        ],
        batch_size=500,
    )
    rankings = Ranking.objects.bulk_create(
        [
            Ranking(
                assignment=assignment,
                slate_id=assignment.slate_id,
                labeler=assignment.labeler,
                seconds=chance.uniform(40, 200),
            )
            for assignment in assignments
        ],
        batch_size=500,
    )
    of_slate = {
        slate.pk: completions[number * K : (number + 1) * K] for number, slate in enumerate(made)
    }
    who = {user.pk: number for number, user in enumerate(labelers)}
    RankedCompletion.objects.bulk_create(
        [
            RankedCompletion(ranking=ranking, completion=one, rank=rank)
            for ranking in rankings
            for rank, one in enumerate(
                _ranked(
                    chance, who[ranking.labeler_id], ranking, of_slate[ranking.slate_id], quality
                ),
                1,
            )
        ],
        batch_size=500,
    )
    return Team(project=project, labelers=labelers, quality=quality)


def _prompts(project: Project, count: int) -> list[Prompt]:
    rows = [
        NewPrompt(messages=[{"role": "user", "content": f"Question {number}?"}])
        for number in range(count)
    ]
    add_prompts(project=project, rows=rows)
    return list(Prompt.objects.filter(project=project).order_by("pk"))


def _ranked(
    chance: random.Random,
    who: int,
    ranking: Ranking,
    shown: Sequence[Completion],
    quality: dict[int, float],
) -> list[Completion]:
    """The slate's completions, best first, as this one of the twelve sees them."""
    if who in CARELESS:
        return chance.sample(shown, K)
    if who == BY_PLACE:
        return [shown[int(position)] for position in ranking.assignment.order]
    if who == BY_LENGTH:
        return sorted(shown, key=lambda one: -len(one.text))
    return sorted(shown, key=lambda one: -(quality[one.pk] + chance.gauss(0, NOISE)))
