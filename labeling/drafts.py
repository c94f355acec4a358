"""Judgements under way: kept while people think, and what came too late kept after.

A draft belongs to a labeler and a slate, not to a lease. Knows nothing of how one is submitted.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.judgements import Judgement
from labeling.models import Assignment, Draft, Project, Ranking, Slate, User
from labeling.prepared import Given, Prepared
from labeling.refusals import Refusal

MAX_DRAFT = 1024 * 1024
"""Bytes: nine better versions and a comment."""
_DRAFT = Prepared(lambda: Draft.objects.filter(slate=Given("slate"), labeler=Given("labeler")))


class DraftRefused(Refusal):
    """Far more than anybody types."""

    code = "draft_refused"
    status = 400
    sentence = _("This draft is too large to be kept.")


def save_draft(
    *,
    slate: Slate,
    labeler: User,
    sequence: int,
    judgement: Judgement,
    based_on: int | None = None,
    seconds: float = 0.0,
    correcting: Ranking | None = None,
) -> bool:
    """Keep a judgement under way; `seconds` active so far.

    sequence: grows with each change. based_on: that of the draft that was changed, 0 for none; a
    tab that has not seen the newest draft never overwrites it (None: any older one is). correcting:
    the ranking that is being corrected, None for one that was not submitted yet. False: not stored,
    because a newer draft is there, or because what stands is another. Raises DraftRefused.
    """
    content = {**judgement.to_json(), "seconds": seconds}
    if len(json.dumps(content, ensure_ascii=False).encode()) > MAX_DRAFT or sequence < 0:
        raise DraftRefused
    seen = sequence - 1 if based_on is None else min(based_on, sequence - 1)
    with transaction.atomic():
        # A submission closes the slot first: the same row is held here until the draft is written.
        slots = Assignment.objects.filter(slate=slate, labeler=labeler)
        list(slots.select_for_update().values_list("pk"))
        standing = Ranking.objects.current().filter(slate=slate, labeler=labeler).first()
        return standing == correcting and _put(slate.pk, labeler, sequence, content, seen=seen)


def keep_draft(*, slate: int, labeler: User, judgement: Judgement, seconds: float = 0.0) -> None:
    """Keep what could not be stored as the newest draft. slate: its id."""
    drafts = Draft.objects.filter(slate=slate, labeler=labeler)
    newest = drafts.aggregate(n=Max("sequence"))["n"] or 0
    sequence = max(newest + 1, int(time.time() * 1000))
    content = {**judgement.to_json(), "seconds": seconds}
    _put(slate, labeler, sequence, content, seen=sequence - 1)


def draft_of(*, slate: Slate, labeler: User) -> Draft | None:
    """What this labeler had said of the slate, if it was not submitted."""
    return _DRAFT.first(slate=slate.pk, labeler=labeler.pk)


def drafted(draft: Draft) -> Judgement:
    """What a draft holds."""
    return Judgement.from_json(draft.content)


def too_late(*, project: Project, labeler: User) -> QuerySet[Draft]:
    """What the labeler had said of slates that somebody else has by now: kept, to be read.

    And changes to an own ranking that stands: its time for corrections was over before they came.
    """
    own = Ranking.objects.current().filter(slate=OuterRef("slate"), labeler=labeler)
    since = timezone.now() - timedelta(hours=project.correction_hours)
    correctable = own.filter(
        Q(assignment__completed_at__gt=since)
        | Q(assignment__completed_at=None, created_at__gt=since)
    )
    to_be_had = Assignment.objects.filter(
        Q(labeler=None) | Q(labeler=labeler), slate=OuterRef("slate"), state=Assignment.State.OPEN
    )
    return (
        Draft.objects.filter(labeler=labeler, slate__project=project)
        .exclude(Exists(correctable))
        .exclude(Exists(to_be_had))
        .select_related("slate__prompt")
        .annotate(ranked=Exists(own))
        .prefetch_related("slate__items__completion")
        .order_by("-updated_at")
    )


def put_newest(drafts: QuerySet[Any], fresh: Any, *, seen: int) -> bool:
    """Store unless a draft newer than `seen` is there; whether it was stored.

    drafts: those of one person and thing, at most one row. fresh: the row to be stored, with its
    `sequence` and `content`.
    """
    older = drafts.filter(sequence__lte=seen)
    change = {"sequence": fresh.sequence, "content": fresh.content, "updated_at": Now()}
    with transaction.atomic():
        if older.update(**change):
            return True
        drafts.bulk_create([fresh], ignore_conflicts=True)
        older.update(**change)  # another tab's first draft came in between
    return drafts.filter(sequence=fresh.sequence, content=fresh.content).exists()


def _put(
    slate_id: int, labeler: User, sequence: int, content: dict[str, Any], *, seen: int
) -> bool:
    drafts = Draft.objects.filter(slate=slate_id, labeler=labeler)
    fresh = Draft(slate_id=slate_id, labeler=labeler, sequence=sequence, content=content)
    return put_newest(drafts, fresh, seen=seen)
