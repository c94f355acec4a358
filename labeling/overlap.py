"""How many labelers a slate gets: as many as the project says, and more where it is worth it.

One slot more where those who ranked a slate disagree, and where whoever trains asks for another
opinion (`ask_once_more`); never more than the project's `most_overlap`. Slots are added when a
ranking comes in, never counted when one is leased. Knows nothing of who is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Max, QuerySet

from labeling.agreement import agreeing_pairs
from labeling.models import Assignment, Project, Purpose, RankedCompletion, Ranking, Slate
from labeling.slates import add_slot

AGREED_FROM = 0.7
"""Share of pairs, over all pairs of labelers, from which on a slate's rankings agree.

InstructGPT's labelers agree on about 73 % of pairs: below this line a slate is more disputed than
most are. Two labelers of four completions share six pairs: four of them alike is a dispute.
"""


def hold(assignment: Assignment) -> None:
    """Lock the slate until the commit, where a slot may be added to it after this submission.

    Before the slot itself is closed: of two who finish the last two slots at once, the second sees
    what the first one said. Without a chance of another slot, nothing is asked or locked.
    """
    if _may_grow(assignment):
        _held([assignment.slate_id])


def ask_where_they_disagree(assignment: Assignment) -> bool:
    """One slot more for the slate of a slot that was just done, if it was the last open one.

    Whether one was added: where its rankings agree on less than AGREED_FROM of their pairs and
    there are fewer slots than `most_overlap`. Call in the transaction of the submission, after
    `hold`.
    """
    if not _may_grow(assignment):
        return False
    slate = _growing([assignment.slate_id], assignment.project).first()
    if slate is None or not _disputed(slate):
        return False
    return add_slot(slate=slate)


def ask_once_more(*, project: Project, slates: Sequence[int], at_most: int) -> int:
    """One slot more for each of these slates (by id, the most urgent first); how many were added.

    For whoever trains: where its reward model can't tell which of two completions is better. Only
    ranked training slates of `project` without an open slot and below `most_overlap` get one;
    asked again while it is open, nothing happens.
    """
    added = 0
    if not project.is_adaptive or project.archived_at is not None:
        return added
    for pk in dict.fromkeys(slates):
        if added >= at_most:
            break
        with transaction.atomic():
            _held([pk])
            slate = _growing([pk], project).first()
            if slate is not None and Ranking.objects.current().filter(slate=slate).exists():
                added += add_slot(slate=slate)
    return added


def _may_grow(assignment: Assignment) -> bool:
    """Whether a submission of this slot could add another: known without asking the database."""
    return assignment.project.is_adaptive and assignment.slate.purpose == Purpose.TRAINING


def _held(slates: Sequence[int]) -> None:
    """Lock these slates. Before their slots, as `withdraw_slate` does."""
    rows = Slate.objects.select_for_update(no_key=True).filter(pk__in=slates)
    list(rows.values_list("pk"))


def _growing(slates: Sequence[int], project: Project) -> QuerySet[Slate]:
    """Those of `slates` that may get one more slot: all their slots are done, and too few."""
    return (
        Slate.objects.filter(
            pk__in=slates,
            project=project,
            purpose=Purpose.TRAINING,
            withdrawn_at=None,
            prompt__withdrawn_at=None,
        )
        .exclude(assignments__state=Assignment.State.OPEN)
        .alias(last=Max("assignments__slot"))
        .filter(last__lt=project.most_overlap - 1)
    )


def _disputed(slate: Slate) -> bool:
    """Whether two or more have ranked it and agree on too few pairs; ties say nothing."""
    ranks: dict[int, dict[int, int]] = {}
    rows = RankedCompletion.objects.filter(ranking__slate=slate, ranking__is_current=True)
    for ranking, completion, rank in rows.values_list("ranking_id", "completion_id", "rank"):
        ranks.setdefault(ranking, {})[completion] = rank
    agreed, total = agreeing_pairs(list(ranks.values()))
    return total > 0 and agreed / total < AGREED_FROM
