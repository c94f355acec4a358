"""A labeler in a process of its own: `python -m tests.labeling.lease_racer MODE …`.

prepare SLATES LABELERS OVERLAP MOST: fill an empty database; more labelers are asked where rankings
disagree, up to MOST. rank NAME: lease (every other time one ahead as well) and submit until nothing
is left, one line a lease: the slot and whether the submission stored something new. Waits for a
line on stdin before it begins, so that all racers begin together. look: a line for each slot.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import count

import django

from tests.labeling.races import wait_for_the_others

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def prepare(slates: int, labelers: int, overlap: int, most_overlap: int) -> None:
    from django.core.management import call_command
    from django.db import transaction

    from tests.factories import make_labeler, make_project, make_slate

    call_command("migrate", verbosity=0)
    with transaction.atomic():
        project = make_project(name="Race", k=2, overlap=overlap, most_overlap=most_overlap)
        for number in range(labelers):
            make_labeler(project, f"labeler{number}")
        for _ in range(slates):
            make_slate(project)


def rank(name: str) -> None:
    from labeling.judgements import Judgement
    from labeling.leasing import lease_ahead, lease_next
    from labeling.models import Project, User
    from labeling.rankings import submit_ranking

    project = Project.objects.get()
    labeler = User.objects.get(username=name)
    patience = 8.0 if project.most_overlap else 0.0
    opinion = [1, 2] if labeler.pk % 2 else [2, 1]
    wait_for_the_others()
    last = time.monotonic()
    for turn in count():
        assignment = lease_next(project=project, labeler=labeler)
        if assignment is None and time.monotonic() - last < patience:
            time.sleep(0.1)  # somebody's submission may add a slot
            continue
        if assignment is None:
            return
        last = time.monotonic()
        if turn % 2:
            lease_ahead(project=project, labeler=labeler)
        ids = assignment.slate.items.values_list("completion_id", flat=True)
        ranking = submit_ranking(
            assignment=assignment,
            labeler=labeler,
            token=assignment.lease_token,
            judgement=Judgement(ranks=dict(zip(ids, opinion, strict=True))),
            seconds=1,
        )
        print(assignment.pk, ranking.pk, flush=True)


def look() -> None:
    """A line for each slot that is done: slate, slot, labeler, which of the two opinions."""
    from labeling.models import Assignment

    assert not Assignment.objects.exclude(state="done").exists()
    for slot in Assignment.objects.order_by("pk"):
        print(slot.slate_id, slot.slot, slot.labeler_id, (slot.labeler_id or 0) % 2)


if __name__ == "__main__":
    django.setup()
    if sys.argv[1] == "prepare":
        prepare(*map(int, sys.argv[2:6]))
    elif sys.argv[1] == "look":
        look()
    else:
        rank(sys.argv[2])
