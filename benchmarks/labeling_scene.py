"""A project to be labeled under load: many slates, ranked and waiting, and people signed in.

Run as a process of its own (`python -m benchmarks.labeling_scene COMPLETIONS LABELERS`), with
RANKLOOP_DATA set and the database migrated: it prints, as JSON, the project's slug and each
person's session.
"""

from __future__ import annotations

import json
import random
import sys

from django.conf import settings
from django.test import Client

from benchmarks import django_ready  # noqa: F401  # first: models need it
from benchmarks.many_rankings import K, add_slates, scene_of
from labeling.models import User
from labeling.people import create_user

LEAST_WAITING = 2_000
"""Slates: else fifty labelers have ranked all of a small project before they are measured."""
SLATES_A_PROMPT = 5


def session_of(user: User) -> str:
    """The cookie of somebody who has signed in."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def main(completions: int, labelers: int) -> None:
    """Half of the slates ranked, half waiting; of a small project more wait."""
    rng = random.Random(completions)
    slates = completions // K
    waiting = max(slates // 2, min(slates * 4 // 5, LEAST_WAITING))
    boss = create_user(username="boss", superuser=True)
    scene = scene_of(
        rng, name="Load", by=boss, prompts=max(slates // SLATES_A_PROMPT, 100), labelers=labelers
    )
    add_slates(rng, scene, ranked=slates - waiting, waiting=waiting)
    told = {
        "slug": scene.project.slug,
        "manager": session_of(boss),
        "labelers": [session_of(user) for user in scene.labelers],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
