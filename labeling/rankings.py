"""What labelers decide: drafts while they think, rankings when they submit, corrections after.

Append-only, and nothing that was sent is lost: a submission that comes too late stays as a draft.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from labeling.assignments import LeaseExpired, refuse_strangers
from labeling.models import (
    Assignment,
    Draft,
    Project,
    RankedCompletion,
    Ranking,
    Slate,
    SlateCompletion,
    User,
)
from labeling.refusals import Refusal

MAX_SECONDS = 24 * 3600.0
MAX_DRAFT = 64 * 1024
"""Bytes of JSON."""
WRITERS_LOCK = 0x52_4B_4C_50
"""PostgreSQL advisory lock: shared by whoever writes a ranking, exclusive for `mark`."""


class BadRanks(Refusal):
    """Not a ranking of this slate's completions."""

    code = "bad_ranks"
    status = 400
    sentence = _("Give each completion a rank: 1 is best, equal ranks are ties.")


class AlreadyRanked(Refusal):
    """The labeler submitted something else for this slate before. `ranking`: what stands."""

    code = "already_ranked"
    sentence = _(
        "You ranked this one already, in another way, and that stands; what you sent now is kept "
        "as a draft. Correct it from the list of your rankings."
    )

    def __init__(self, ranking: Ranking) -> None:
        """Keep the ranking that stands."""
        self.ranking = ranking
        super().__init__()


class DraftRefused(Refusal):
    """Far more than the ranks of nine completions."""

    code = "draft_refused"
    status = 400
    sentence = _("This draft is too large to be kept.")


class NotYours(Refusal):
    """Only its labeler corrects a ranking."""

    code = "not_yours"
    status = 403
    sentence = _("Only the person who submitted a ranking can correct it.")


def submit_ranking(
    *,
    assignment: Assignment,
    labeler: User,
    token: uuid.UUID | None,
    ranks: Mapping[int, int],
    seconds: float,
) -> Ranking:
    """Store what the labeler decided and close the slot. Sent again, the same ranking comes back.

    ranks: by completion id, 1 is best, equal ranks are ties; gaps are closed. seconds: active
    time, cut to 0 … one day. token: the lease's. A lapsed lease counts as long as nobody took the
    slot, and so does a slot that was skipped or withdrawn meanwhile.

    Raises NotGiven (409) before all else if the slot never was this labeler's; BadRanks (400);
    AlreadyRanked (409) if this labeler submitted other ranks before; and LeaseExpired (409) if
    somebody else holds or finished the slot: then the ranks are kept as a draft.
    """
    refuse_strangers(assignment, labeler, token)
    dense = dense_ranks(slate_id=assignment.slate_id, ranks=ranks)
    try:
        with transaction.atomic():
            share_writers_lock()
            if _close(assignment, labeler, token):
                return _store(assignment, labeler, dense, seconds)
    except IntegrityError:
        pass  # this labeler's ranking of the slate came in at this very moment
    standing = _standing(assignment, labeler)
    if standing is None:
        _keep_draft(assignment.slate_id, labeler, dense)
        raise LeaseExpired
    if not _said_before(standing, dense):
        _keep_draft(assignment.slate_id, labeler, dense)
        raise AlreadyRanked(standing)
    return standing


def correct_ranking(
    *, ranking: Ranking, labeler: User, ranks: Mapping[int, int], seconds: float
) -> Ranking:
    """Put a new ranking in the place of `ranking`, which is kept. Sent twice, it is stored once.

    The same ranks change nothing. Raises BadRanks, NotYours; and AlreadyRanked if the labeler
    corrected it in another way meanwhile (in another tab).
    """
    if ranking.labeler_id != labeler.pk:
        raise NotYours
    dense = dense_ranks(slate_id=ranking.slate_id, ranks=ranks)
    with transaction.atomic():
        share_writers_lock()
        stands = Ranking.objects.filter(pk=ranking.pk, is_current=True)
        if ranks_of(ranking) == dense and stands.exists():
            Draft.objects.filter(slate=ranking.slate_id, labeler=labeler).delete()
            return ranking
        if stands.update(is_current=False):
            fresh = _store(ranking.assignment, labeler, dense, seconds, replaces=ranking)
            ranking.is_current = False
            return fresh
    current = Ranking.objects.current().get(assignment=ranking.assignment_id)
    if ranks_of(current) != dense:
        raise AlreadyRanked(current)
    return current


def dense_ranks(*, slate_id: int, ranks: Mapping[int, int]) -> dict[int, int]:
    """`ranks` by completion id with gaps closed: 1, 3, 3 becomes 1, 2, 2.

    Raises BadRanks unless exactly the slate's completions have a whole rank from 1.
    """
    wanted = set(
        SlateCompletion.objects.filter(slate=slate_id).values_list("completion_id", flat=True)
    )
    if set(ranks) != wanted:
        raise BadRanks
    if any(isinstance(rank, bool) or not isinstance(rank, int) for rank in ranks.values()):
        raise BadRanks
    if min(ranks.values()) < 1:
        raise BadRanks
    places = {rank: place for place, rank in enumerate(sorted(set(ranks.values())), 1)}
    return {completion: places[rank] for completion, rank in ranks.items()}


def ranks_of(ranking: Ranking) -> dict[int, int]:
    """The stored ranks by completion id."""
    return dict(ranking.ranks.values_list("completion_id", "rank"))


def _close(assignment: Assignment, labeler: User, token: uuid.UUID | None) -> bool:
    """Mark the slot as done by `labeler`, once; False if it isn't theirs to close."""
    theirs = Q(labeler=labeler)
    if token is not None:
        theirs |= Q(labeler=None, lease_token=token)
    undone = Assignment.objects.filter(
        theirs, pk=assignment.pk, state__in=[Assignment.State.OPEN, Assignment.State.WITHDRAWN]
    )
    done = Assignment.State.DONE
    return bool(undone.update(labeler=labeler, state=done, completed_at=Now()))


def _store(
    assignment: Assignment,
    labeler: User,
    dense: Mapping[int, int],
    seconds: float,
    *,
    replaces: Ranking | None = None,
) -> Ranking:
    """The rows of a ranking; its draft has served."""
    ranking = Ranking.objects.create(
        assignment=assignment,
        slate_id=assignment.slate_id,
        labeler=labeler,
        seconds=min(max(seconds, 0.0), MAX_SECONDS) if math.isfinite(seconds) else 0.0,
        replaces=replaces,
    )
    RankedCompletion.objects.bulk_create(
        RankedCompletion(ranking=ranking, completion_id=completion, rank=rank)
        for completion, rank in sorted(dense.items(), key=lambda item: (item[1], item[0]))
    )
    Draft.objects.filter(slate=assignment.slate_id, labeler=labeler).delete()
    return ranking


def _standing(assignment: Assignment, labeler: User) -> Ranking | None:
    """What stands of this labeler for the slate, whichever slot it came in by."""
    rankings = Ranking.objects.current().filter(slate=assignment.slate_id, labeler=labeler)
    return rankings.select_related("assignment").first()


def _said_before(standing: Ranking, dense: dict[int, int]) -> bool:
    """Whether these ranks were submitted before, be they corrected since: the back button."""
    earlier: Ranking | None = standing
    while earlier is not None:
        if ranks_of(earlier) == dense:
            return True
        earlier = earlier.replaces
    return False


def save_draft(*, slate: Slate, labeler: User, sequence: int, content: Mapping[str, Any]) -> bool:
    """Keep a ranking under way, for example {"ranks": {"17": 1, "18": 2}}, keys as strings.

    sequence: grows with each change; an older tab's draft never overwrites a newer one. False: not
    stored, because a newer one is there or the ranking has been submitted. Raises DraftRefused.
    """
    if len(json.dumps(content)) > MAX_DRAFT or sequence < 0:
        raise DraftRefused
    if Ranking.objects.current().filter(slate=slate, labeler=labeler).exists():
        return False
    return _put_draft(slate.pk, labeler, sequence, dict(content))


def draft_of(*, slate: Slate, labeler: User) -> Draft | None:
    """What this labeler had ranked of the slate, if it was not submitted."""
    return Draft.objects.filter(slate=slate, labeler=labeler).first()


def unsaved_ranks(ranking: Ranking) -> dict[int, int]:
    """Ranks by completion id that the labeler sent for the slate besides `ranking`, never stored.

    Empty where there are none, or none for all completions, or they say the same.
    """
    draft = draft_of(slate=ranking.slate, labeler=ranking.labeler)
    kept = {} if draft is None else drafted_ranks(draft)
    try:
        dense = dense_ranks(slate_id=ranking.slate_id, ranks=kept)
    except BadRanks:
        return {}
    return {} if dense == ranks_of(ranking) else dense


def drafted_ranks(draft: Draft) -> dict[int, int]:
    """The ranks by completion id that a draft holds."""
    return {int(pk): rank for pk, rank in draft.content.get("ranks", {}).items()}


def too_late(*, project: Project, labeler: User) -> QuerySet[Draft]:
    """What the labeler had ranked when somebody else had finished the slate: kept, to be read."""
    own = Ranking.objects.current().filter(slate=OuterRef("slate"), labeler=labeler)
    to_be_had = Assignment.objects.filter(slate=OuterRef("slate"), state=Assignment.State.OPEN)
    return (
        Draft.objects.filter(labeler=labeler, slate__project=project)
        .exclude(Exists(own))
        .exclude(Exists(to_be_had))
        .select_related("slate__prompt")
        .prefetch_related("slate__items__completion")
        .order_by("-updated_at")
    )


def _put_draft(slate_id: int, labeler: User, sequence: int, content: dict[str, Any]) -> bool:
    """Store unless a newer one is there; whether it was stored."""
    older = Draft.objects.filter(slate=slate_id, labeler=labeler, sequence__lt=sequence)
    change = {"sequence": sequence, "content": content, "updated_at": Now()}
    with transaction.atomic():
        if older.update(**change):
            return True
        fresh = Draft(slate_id=slate_id, labeler=labeler, sequence=sequence, content=content)
        Draft.objects.bulk_create([fresh], ignore_conflicts=True)
        older.update(**change)  # another tab's first draft came in between
    return Draft.objects.filter(
        slate=slate_id, labeler=labeler, sequence=sequence, content=content
    ).exists()


def _keep_draft(slate_id: int, labeler: User, dense: Mapping[int, int]) -> None:
    """Keep what came too late as the newest draft."""
    content = {"ranks": {str(completion): rank for completion, rank in dense.items()}}
    newest = Draft.objects.filter(slate=slate_id, labeler=labeler).aggregate(n=Max("sequence"))["n"]
    _put_draft(slate_id, labeler, (newest or 0) + 1, content)


def share_writers_lock() -> None:
    """On PostgreSQL, let `mark` wait for this transaction; SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [WRITERS_LOCK])


def mark() -> int:
    """The highest ranking id such that every ranking up to it is committed; 0 where none is.

    For exports: ids are drawn in one order and committed in another, so the highest visible id
    alone could jump over a ranking that another transaction is still writing.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [WRITERS_LOCK])
        return Ranking.objects.aggregate(highest=Max("pk"))["highest"] or 0
