"""How far a reward model can be trusted: its accuracy beside the labelers' agreement."""

from __future__ import annotations

from django.core.cache import cache
from django.db.models import Max
from django.utils.translation import gettext as _

from labeling.agreement import Agreement, agreement_of
from labeling.models import Project, Ranking
from labeling.views.drawing import Dot
from training.models import Checkpoint
from training.runs import results_of

KEPT_SECONDS = 3600


def known_agreement(project: Project) -> Agreement | None:
    """The labelers' agreement, worked out again only after a new ranking: it is a bootstrap."""
    rankings = Ranking.objects.filter(slate__project=project)
    newest = rankings.aggregate(newest=Max("pk"))["newest"]
    key = f"agreement-{project.pk}-{newest}"
    known: tuple[Agreement | None] | None = cache.get(key)
    if known is None:
        known = (agreement_of(project),)
        cache.set(key, known, KEPT_SECONDS)
    return known[0]


def reward_dot(checkpoint: Checkpoint, results: dict[str, float], *, href: str = "") -> Dot:
    """A reward model's accuracy on labels that it was not fitted on."""
    return Dot(
        label=str(checkpoint),
        value=results.get("oof_accuracy"),
        low=results.get("oof_low"),
        high=results.get("oof_high"),
        href=href,
        hue="reward",
    )


def agreement_dot(project: Project) -> Dot:
    """How often two labelers of the project order a pair the same way."""
    found = known_agreement(project)
    return Dot(
        label=_("Labelers with each other"),
        value=found.rate if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        note="" if found else _("no prompt was ranked by two labelers"),
        hue="labelers",
    )


def trust_dots(candidate: Checkpoint) -> list[Dot]:
    """The reward model behind a policy, beside the labelers."""
    dots = []
    reward = candidate.run.reward if candidate.run else None
    if reward is not None and reward.run is not None:
        dots.append(reward_dot(reward, results_of(reward.run)))
    return [*dots, agreement_dot(candidate.project)]
