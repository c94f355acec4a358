"""A labeler in a process of its own: `python -m tests.labeling.lease_racer MODE …`.

prepare SLATES LABELERS: fill an empty database. rank NAME: lease (every other time one ahead as
well) and submit until nothing is left, one line a lease: the slot and whether the submission stored
something new. Waits for a line on stdin before it begins, so that all racers begin together.
"""

from __future__ import annotations

import os
import sys
from itertools import count

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def prepare(slates: int, labelers: int) -> None:
    from django.core.management import call_command
    from django.db import transaction

    from tests.factories import make_labeler, make_project, make_slate

    call_command("migrate", verbosity=0)
    with transaction.atomic():
        project = make_project(name="Race", k=2)
        for number in range(labelers):
            make_labeler(project, f"labeler{number}")
        for _ in range(slates):
            make_slate(project)


def rank(name: str) -> None:
    from labeling.assignments import lease_ahead, lease_next
    from labeling.judgements import Judgement
    from labeling.models import Project, User
    from labeling.rankings import submit_ranking

    project = Project.objects.get()
    labeler = User.objects.get(username=name)
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in count():
        assignment = lease_next(project=project, labeler=labeler)
        if assignment is None:
            return
        if turn % 2:
            lease_ahead(project=project, labeler=labeler)
        ids = assignment.slate.items.values_list("completion_id", flat=True)
        ranking = submit_ranking(
            assignment=assignment,
            labeler=labeler,
            token=assignment.lease_token,
            judgement=Judgement(ranks={pk: place for place, pk in enumerate(ids, 1)}),
            seconds=1,
        )
        print(assignment.pk, ranking.pk, flush=True)


if __name__ == "__main__":
    django.setup()
    if sys.argv[1] == "prepare":
        prepare(int(sys.argv[2]), int(sys.argv[3]))
    else:
        rank(sys.argv[2])
