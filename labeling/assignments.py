"""A slot that somebody has: renewed, kept, rested on, passed on. `labeling.leasing` gives them out.

A slot can also be kept for somebody who is given it apart from this queue, in a conversation: it
has a lease and that person's token, but no labeler. So nobody else gets it before the lease lapses,
and the person can hold a slot of the queue beside it.

A token is a keyed hash of the slot and the labeler: whoever brings the right one was given the slot
once, even if somebody else has it now. Without it a slot is neither shown nor written to.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import (
    Case,
    Expression,
    F,
    Q,
    When,
)
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from labeling.clock import from_now
from labeling.models import (
    Assignment,
    Completion,
    Skip,
    Slate,
    SlateCompletion,
    User,
)
from labeling.prepared import Given, Prepared
from labeling.refusals import Refusal

KEPT = timedelta(hours=2)
"""So long a slot is kept for whoever is given it apart from the queue: a lunch, not a night."""
_ITEMS = Prepared(
    lambda: SlateCompletion.objects.filter(slate=Given("slate")).select_related("completion")
)


class LeaseExpired(Refusal):
    """Somebody else holds or finished the slot; what was sent is kept as a draft."""

    code = "lease_expired"
    sentence = _(
        "You were away for a while and somebody else ranks this one now. "
        "What you had ranked is kept as a draft."
    )


class NotGiven(LeaseExpired):
    """The slot was never this labeler's: nothing is shown, nothing is kept."""

    code = "not_given"
    sentence = _("This one was not given to you. Take the next one.")


class AlreadyDone(Refusal):
    """The slot is done: nothing to renew or to skip."""

    code = "already_done"
    sentence = _("You ranked this one already.")


class BreakTaken(Refusal):
    """One break a slot: else nobody else would ever get it."""

    code = "break_taken"
    sentence = _(
        "You had your break on this prompt. Submit it or skip it; the next one has a break again."
    )


def token_for(assignment: Assignment, labeler: User) -> uuid.UUID:
    """The token that `labeler` gets whenever this slot is leased to them; nobody can guess it."""
    name = f"{assignment.pk}:{labeler.pk}"
    digest = salted_hmac("labeling.assignments", name, algorithm="sha256").digest()
    return uuid.UUID(bytes=digest[:16])


def refuse_strangers(assignment: Assignment, labeler: User, token: uuid.UUID | None) -> None:
    """Raise NotGiven unless the slot is this labeler's, or was: the token proves it."""
    if assignment.labeler_id != labeler.pk and token != token_for(assignment, labeler):
        raise NotGiven


def free() -> Q:
    """Slots that anybody may take: neither held nor kept for somebody, or the lease has lapsed."""
    return Q(labeler=None, lease_expires_at=None) | Q(lease_expires_at__lte=Now())


def keep_for(*, assignment: Assignment, labeler: User, opened: bool = False) -> bool:
    """Keep a free slot for `labeler` apart from the queue; whether it is theirs now.

    The lease starts anew where it was kept for them already. opened: they look at it now.
    """
    token = token_for(assignment, labeler)
    slots = Assignment.objects.filter(pk=assignment.pk)
    if not slots.filter(labeler=labeler).exists():
        theirs = free() | Q(labeler=None, lease_token=token)
        slots.filter(theirs, state=Assignment.State.OPEN).exclude(labeler=labeler).update(
            labeler=None,
            lease_token=token,
            lease_expires_at=from_now(KEPT),
            opened_at=Coalesce(F("opened_at"), Now()) if opened else F("opened_at"),
        )
    assignment.refresh_from_db(fields=["labeler", "lease_token", "lease_expires_at", "opened_at"])
    return is_for(assignment, labeler)


def keep_no_longer(*, slate: Slate, labeler: User) -> None:
    """Let everybody have the slot that was kept for `labeler`, if they have not done it."""
    for assignment in Assignment.objects.filter(slate=slate, labeler=None):
        Assignment.objects.filter(
            pk=assignment.pk, labeler=None, lease_token=token_for(assignment, labeler)
        ).update(lease_expires_at=None, opened_at=None)


def is_for(assignment: Assignment, labeler: User) -> bool:
    """Whether `labeler` holds the slot, or held it last, or it is kept for them."""
    if assignment.labeler_id is None:
        return assignment.lease_token == token_for(assignment, labeler)
    return assignment.labeler_id == labeler.pk


def lease_end() -> Expression:
    """When a lease that starts now ends, by the database's clock."""
    return from_now(timedelta(minutes=settings.LEASE_MINUTES))


def shown(assignment: Assignment) -> list[Completion]:
    """The completions in the order in which this slot shows them."""
    items = _ITEMS.all(slate=assignment.slate_id)
    return [items[int(position)].completion for position in assignment.order]


def renew(*, assignment: Assignment, labeler: User, token: uuid.UUID) -> datetime:
    """Start the lease anew while the labeler is active; when it ends.

    A lapsed lease revives if nobody else took the slot. Raises LeaseExpired, AlreadyDone.
    """
    held = Assignment.objects.filter(pk=assignment.pk, labeler=labeler, lease_token=token)
    ahead = Assignment.objects.filter(project=assignment.project_id, labeler=labeler, ahead=True)
    ahead.filter(state=Assignment.State.OPEN).update(lease_expires_at=lease_end())
    undone = held.exclude(state=Assignment.State.DONE)
    resting = Q(break_ends_at__gt=Now())  # whose lease ends with the break
    until = Case(When(resting, then=F("lease_expires_at")), default=lease_end())
    if not undone.update(lease_expires_at=until):
        raise AlreadyDone if held.exists() else LeaseExpired
    assignment.refresh_from_db(fields=["lease_expires_at"])
    if assignment.lease_expires_at is None:
        raise LeaseExpired
    return assignment.lease_expires_at


def begin_break(*, assignment: Assignment, labeler: User, token: uuid.UUID | None) -> datetime:
    """Hold the slot for as long as a break may last in this project; when it ends.

    Once a slot: asked again, the same break goes on. Raises BreakTaken after its end; AlreadyDone,
    LeaseExpired.
    """
    held = Assignment.objects.filter(
        pk=assignment.pk, labeler=labeler, lease_token=token, state=Assignment.State.OPEN
    )
    until = from_now(timedelta(minutes=assignment.project.break_minutes))
    begun = held.filter(break_ends_at=None).update(break_ends_at=until, lease_expires_at=until)
    assignment.refresh_from_db(fields=["break_ends_at", "lease_expires_at", "state", "labeler"])
    ends = assignment.break_ends_at
    if ends is not None and (begun or (held.exists() and on_break(assignment))):
        return ends
    if assignment.labeler_id == labeler.pk:
        raise AlreadyDone if assignment.state == Assignment.State.DONE else BreakTaken
    raise LeaseExpired


def end_break(*, assignment: Assignment, labeler: User) -> None:
    """Back at work: the break is over, and the lease is the usual one. Without a break, nothing."""
    Assignment.objects.filter(
        pk=assignment.pk,
        labeler=labeler,
        state=Assignment.State.OPEN,
        break_ends_at__gt=Now(),
    ).update(break_ends_at=F("opened_at"), lease_expires_at=lease_end())


def on_break(assignment: Assignment) -> bool:
    """Whether its labeler is away, and it is kept for them."""
    return assignment.break_ends_at is not None and assignment.break_ends_at > timezone.now()


def skip(
    *, assignment: Assignment, labeler: User, token: uuid.UUID | None = None, reason: str = ""
) -> None:
    """Pass on the slate: this labeler isn't offered it again; others are. Twice is once.

    The draft is kept. Raises AlreadyDone; NotGiven unless the slot is, or was, this labeler's.
    """
    if Skip.objects.filter(slate=assignment.slate_id, labeler=labeler).exists():
        return
    refuse_strangers(assignment, labeler, token)
    with transaction.atomic():
        own = Assignment.objects.filter(slate=assignment.slate_id, labeler=labeler)
        own.exclude(state=Assignment.State.DONE).update(
            labeler=None, lease_expires_at=None, opened_at=None
        )
        if own.exists():
            raise AlreadyDone
        Skip.objects.get_or_create(
            slate_id=assignment.slate_id,
            labeler=labeler,
            defaults={"reason": reason.strip()[:200]},
        )
