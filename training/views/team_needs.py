"""What waits for a manager in the labeling: labelers, demonstrations and disputes, in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from django.db.models import Count, Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.models import Demonstration, Membership, Project, Role
from labeling.views.disputes import undecided
from training.views.loop import kept
from training.views.needs import Need

MOST = 1000
"""Counted up to here."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How many of each there are; `failed` and `paused` are labelers."""

    failed: int
    paused: int
    demonstrations: int
    disputes: int


def team_needs(project: Project, *, polled: bool = False) -> list[Need]:
    """Those of which there are some. polled: what a look a few seconds ago found will do."""
    found = kept(f"team-needs-{project.pk}", partial(_waiting, project), polled=polled)
    people = reverse("project-people", args=[project.slug])
    demonstrations = reverse("demonstration-list", args=[project.slug])
    needs = [
        (
            found.failed,
            ngettext(
                "%(n)s labeler did not pass the quiz and waits for a word from you.",
                "%(n)s labelers did not pass the quiz and wait for a word from you.",
                found.failed,
            ),
            people,
        ),
        (
            found.paused,
            ngettext(
                "%(n)s labeler is paused by the gold items and waits for a word from you.",
                "%(n)s labelers are paused by the gold items and wait for a word from you.",
                found.paused,
            ),
            people,
        ),
        (
            found.demonstrations,
            ngettext(
                "%(n)s demonstration waits for a review.",
                "%(n)s demonstrations wait for a review.",
                found.demonstrations,
            ),
            f"{demonstrations}?state={Demonstration.State.WAITING}",
        ),
        (
            found.disputes,
            ngettext(
                "%(n)s prompt is in dispute and waits for a decision.",
                "%(n)s prompts are in dispute and wait for a decision.",
                found.disputes,
            ),
            reverse("dispute-list", args=[project.slug]),
        ),
    ]
    return [
        Need(sentence=sentence % {"n": number}, href=href, verb=_("See and decide"))
        for number, sentence, href in needs
        if number
    ]


def _waiting(project: Project) -> Waiting:
    failed = Q(quiz_failed_at__isnull=False, accepted_at=None, paused_at=None)
    paused = Q(paused_at__isnull=False, paused_by=None)
    labelers = Membership.objects.filter(project=project, role=Role.LABELER).aggregate(
        failed=Count("pk", filter=failed), paused=Count("pk", filter=paused)
    )
    waits = Demonstration.objects.live().filter(
        prompt__project=project, state=Demonstration.State.WAITING
    )
    return Waiting(
        failed=labelers["failed"] if project.practice_first else 0,
        paused=labelers["paused"],
        demonstrations=waits[:MOST].count(),
        disputes=undecided(project)[:MOST].count(),
    )
