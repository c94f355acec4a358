"""A labeler gets nothing to rank for a while: paused by the gold items or by hand, resumed by hand.

Nothing is lost: what is under way can still be submitted, drafts are kept. Knows nothing of why.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from labeling.models import SHARED, Assignment, Membership, User
from labeling.refusals import Refusal


class Paused(Refusal):
    """The labeler gets nothing to rank until a manager says so."""

    code = "paused"
    sentence = _(
        "Your work here is paused. A manager will write to you; nothing of your work is lost."
    )


def pause(*, membership: Membership, by: User | None, note: str = "") -> None:
    """Give this labeler nothing more; others may take what they held. Twice is once.

    by: None where the gold items did it. note: why, for managers. What was made for this labeler
    alone stays theirs.
    """
    with transaction.atomic():
        working = Membership.objects.filter(pk=membership.pk, paused_at=None)
        if working.update(paused_at=Now(), paused_by=by, pause_note=note.strip()[:400]):
            Assignment.objects.filter(
                project=membership.project_id,
                labeler=membership.user_id,
                state=Assignment.State.OPEN,
                slate__purpose__in=SHARED,
            ).update(labeler=None, lease_expires_at=None)
    membership.refresh_from_db(fields=["paused_at", "paused_by", "pause_note"])


def resume(*, membership: Membership) -> None:
    """Back to work; gold items that were done before are not looked at again. Twice is once."""
    Membership.objects.filter(pk=membership.pk, paused_at__isnull=False).update(
        paused_at=None, paused_by=None, pause_note="", gold_since=Now()
    )
    membership.refresh_from_db(fields=["paused_at", "paused_by", "pause_note", "gold_since"])


def refuse_paused(membership: Membership | None) -> None:
    """Raise Paused where a labeler is."""
    if membership is not None and membership.paused_at is not None:
        raise Paused
