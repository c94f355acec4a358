"""Where queued runs stand: one queue for all projects, the oldest first. Says no other's name.

Runs of archived projects are in nobody's way: they wait until their project is restored.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from labeling.models import Project
from training.models import Run


@dataclass(frozen=True, kw_only=True)
class QueuePlace:
    """Where a queued run stands."""

    number: int
    """1 for the run that is taken up next."""
    others: int
    """How many runs of other projects are before it."""


def queue_places(project: Project) -> dict[int, QueuePlace]:
    """The places of the project's queued runs, by id."""
    places: dict[int, QueuePlace] = {}
    counted = Q(project=project) | Q(project__in=Project.objects.open())
    queued = Run.objects.filter(counted, state=Run.State.QUEUED).order_by("pk")
    for before, (pk, owner) in enumerate(queued.values_list("pk", "project_id")):
        if owner == project.pk:
            places[pk] = QueuePlace(number=before + 1, others=before - len(places))
    return places


def place_of_run(run: Run) -> QueuePlace | None:
    """Its place; None where it isn't queued."""
    return queue_places(run.project).get(run.pk) if run.state == Run.State.QUEUED else None
