"""Gold items: prompts with a known answer among a labeler's others, and who falls below the line.

Nothing that a labeler sees tells one from any other prompt. Each labeler meets each item once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from statistics import fmean

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from labeling.draws import first_drawn
from labeling.models import (
    Assignment,
    Decision,
    Membership,
    Project,
    Purpose,
    Ranking,
    Role,
    Skip,
    Slate,
    User,
)
from labeling.models.rankings import RankingQuerySet
from labeling.pauses import pause
from labeling.screening import at_least

FEW_LEFT = 5
"""Gold items before a labeler: fewer than these, and it is time to make some more."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a labeler did on the last gold items."""

    count: int
    share: float | None
    """Mean right share, 0 to 1; None before the first."""


def next_gold(*, project: Project, labeler: User) -> Slate | None:
    """An item that this labeler never had, nor the slate that it was made of; None: had all."""
    met = Assignment.objects.filter(labeler=labeler)
    fresh = (
        _usable(project)
        .exclude(Exists(met.filter(slate=OuterRef("pk"))))
        .exclude(Exists(met.filter(slate=OuterRef("repeats"))))
        .exclude(Exists(Skip.objects.filter(labeler=labeler, slate=OuterRef("pk"))))
    )
    chosen = first_drawn(fresh.values_list("pk", flat=True), f"gold:{labeler.pk}")
    return None if chosen is None else Slate.objects.select_related("prompt").get(pk=chosen)


def _usable(project: Project) -> QuerySet[Slate]:
    """The project's gold items whose answer is known."""
    decided = Decision.objects.filter(is_current=True)
    known = decided.filter(Q(slate=OuterRef("pk")) | Q(slate=OuterRef("repeats")))
    items = Slate.objects.items().live()
    return items.filter(Exists(known), project=project, purpose=Purpose.GOLD)


def running_out(project: Project) -> list[tuple[User, int]]:
    """Labelers with fewer than FEW_LEFT gold items before them, and how many; the fewest first.

    Who has met them all is checked by nothing any more. Nobody where none are mixed in.
    """
    if not project.gold_percent:
        return []
    items = dict(_usable(project).values_list("pk", "repeats"))
    slates = {pk for pair in items.items() for pk in pair if pk is not None}
    met: defaultdict[int, set[int]] = defaultdict(set)
    given = Assignment.objects.filter(slate__in=slates, labeler__isnull=False)
    skipped = Skip.objects.filter(slate__in=items)
    for rows in (given.values_list("labeler", "slate"), skipped.values_list("labeler", "slate")):
        for labeler, slate in rows:
            met[labeler].add(slate)
    members = Membership.objects.filter(project=project, role=Role.LABELER, user__is_active=True)
    found = [
        (member.user, sum(met[member.user_id].isdisjoint(pair) for pair in items.items()))
        for member in members.select_related("user")
    ]
    return sorted((one for one in found if one[1] < FEW_LEFT), key=itemgetter(1))


def window_of(membership: Membership) -> Window:
    """How one labeler does."""
    return windows_in(membership.project, [membership])[membership.user_id]


def windows_in(project: Project, memberships: Iterable[Membership]) -> dict[int, Window]:
    """How labelers of one project do on the last gold items, by the person's id; in one query.

    What was done before a manager ended a pause is not looked at.
    """
    since = {member.user_id: member.gold_since for member in memberships}
    shares: dict[int, list[float]] = {pk: [] for pk in since}
    rows = answered(project).filter(labeler__in=since).order_by("-assignment__completed_at", "-pk")
    for labeler, share, at in rows.values_list(
        "labeler_id", "right_share", "assignment__completed_at"
    ):
        begun = since[labeler]
        counts = at is not None and (begun is None or at > begun)
        if counts and share is not None and len(shares[labeler]) < project.gold_window:
            shares[labeler].append(share)
    return {
        pk: Window(count=len(found), share=fmean(found) if found else None)
        for pk, found in shares.items()
    }


def answered(project: Project) -> RankingQuerySet:
    """What was said of gold items and measured."""
    return Ranking.objects.current().filter(
        slate__project=project, slate__purpose=Purpose.GOLD, right_share__isnull=False
    )


def pause_below_line(*, project: Project, labeler: User) -> None:
    """Pause a labeler whose mean over the last `gold_window` items is below `gold_pass`."""
    membership = Membership.objects.filter(
        project=project, user=labeler, role=Role.LABELER, paused_at=None
    ).first()
    if membership is None:
        return
    membership.project = project
    window = window_of(membership)
    if window.share is None or window.count < project.gold_window:
        return
    if at_least(window.share, project.gold_pass):
        return
    with translation.override(settings.LANGUAGE_CODE):
        note = _("%(share)d %% right on the last %(count)d gold items; the line is %(line)d %%.")
        note %= {
            "share": int(window.share * 100),
            "count": window.count,
            "line": project.gold_pass,
        }
    pause(membership=membership, by=None, note=note)
