"""Who ranks what now: slots are leased for a while, renewed, skipped.

A lease is one conditional UPDATE by the database's clock. A labeler holds at most one open slot of
a project, and the same one comes back, with the same order and token, until it is done or skipped:
in a second tab, after a reload, and after the lease has lapsed if nobody else took the slot. Beside
it one more may be held ahead, so that the next prompt is there at once.

A token is a keyed hash of the slot and the labeler: whoever brings the right one was given the slot
once, even if somebody else has it now. Without it a slot is neither shown nor written to.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import (
    Case,
    Exists,
    Expression,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from labeling.models import (
    RANKERS,
    Assignment,
    Completion,
    Membership,
    Project,
    Purpose,
    Role,
    Skip,
    Slate,
    User,
)
from labeling.refusals import Refusal

TRIES = 3
"""Two tabs can collide once; the next try finds what the other one leased."""


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


def lease_next(*, project: Project, labeler: User) -> Assignment | None:
    """The labeler's own open slot, else the next free one; its lease starts anew. None: no work.

    Never of a slate that this labeler ranked or skipped. By priority, then the oldest. Evaluation
    slates are judged blind: they go to labelers, who don't see which model wrote what, and to
    others only where a project has no labeler.
    """
    if project.archived_at is not None:
        return None
    return _lease(project, labeler, ahead=False)


def lease_ahead(*, project: Project, labeler: User) -> Assignment | None:
    """What the labeler will get after the open slot, held for a short time; None: nothing more.

    Only beside an open one. `lease_next` gives it out once that is done.
    """
    open_one = Assignment.objects.filter(
        project=project, labeler=labeler, state=Assignment.State.OPEN, ahead=False
    )
    if project.archived_at is not None or not open_one.exists():
        return None
    return _lease(project, labeler, ahead=True)


def open_next(*, project: Project, labeler: User) -> int | None:
    """As `lease_next`, for who needs only the slot's id: the one held ahead is opened at once."""
    ahead = Assignment.objects.filter(
        project=project, labeler=labeler, state=Assignment.State.OPEN, ahead=True
    )
    held = ahead.values_list("pk", flat=True).first()
    if held is not None and project.archived_at is None:
        try:
            with transaction.atomic():
                if ahead.filter(pk=held, break_ends_at=None).update(
                    ahead=False, opened_at=Now(), lease_expires_at=lease_end()
                ):
                    return held
        except IntegrityError:
            pass  # another one is open still
    following = lease_next(project=project, labeler=labeler)
    return following.pk if following else None


def _lease(project: Project, labeler: User, *, ahead: bool) -> Assignment | None:
    """The labeler's slot of this kind, else the next free one."""
    mine = Assignment.objects.filter(
        project=project, labeler=labeler, state=Assignment.State.OPEN, ahead=ahead
    ).select_related("slate__prompt")
    blind = _judges_blind(project, labeler)
    for _attempt in range(TRIES):
        try:
            with transaction.atomic():
                if _take_next(project, labeler, blind=blind, ahead=ahead):
                    taken = mine.get()
                    taken.project = project
                    return _with_token(taken, labeler)
        except IntegrityError:
            continue  # another tab of this labeler was first
    return None


def active_labelers(project: Project | OuterRef) -> QuerySet[Membership]:
    """Memberships of role labeler that count: of people who were not deactivated."""
    return Membership.objects.filter(project=project, role=Role.LABELER, user__is_active=True)


def blind_judges(project: Project) -> QuerySet[User]:
    """Members who are given evaluation slates: labelers, or all who rank where there are none."""
    chosen = active_labelers(project)
    if not chosen.exists():
        chosen = Membership.objects.filter(project=project, role__in=RANKERS, user__is_active=True)
    return User.objects.filter(pk__in=chosen.values("user"))


def untouched_by(labeler: User) -> Q:
    """Slots of slates that `labeler` neither ranked (or holds) nor skipped."""
    ranked = Assignment.objects.filter(slate=OuterRef("slate"), labeler=labeler)
    skipped = Skip.objects.filter(slate=OuterRef("slate"), labeler=labeler)
    return ~Exists(ranked) & ~Exists(skipped)


def _judges_blind(project: Project, user: User) -> bool:
    """Whether `user` is a labeler here, or nobody is."""
    labelers = active_labelers(project).values_list("user_id", flat=True)
    return user.pk in labelers or not labelers


def _take_next(project: Project, labeler: User, *, blind: bool, ahead: bool) -> int:
    """The one conditional UPDATE; how many rows it changed (0 or 1)."""
    slots = Assignment.objects.filter(project=project, state=Assignment.State.OPEN)
    held = Q(labeler=labeler, ahead=True) if ahead else Q(labeler=labeler)
    own = slots.filter(held).order_by("ahead").values("pk")
    next_free = (
        slots.filter(free() & untouched_by(labeler))
        .order_by("-priority", "pk")
        .select_for_update(skip_locked=True)
    )
    if not blind:
        judged = Slate.objects.filter(pk=OuterRef("slate"), purpose=Purpose.EVALUATION)
        next_free = next_free.exclude(Exists(judged))
    chosen = Coalesce(Subquery(own[:1]), Subquery(next_free.values("pk")[:1]))
    resting = held & Q(break_ends_at__gt=Now())
    return slots.filter(held | free(), pk=chosen).update(
        opened_at=Case(When(held & Q(ahead=ahead), then=F("opened_at")), default=Now()),
        break_ends_at=Case(When(held, then=F("break_ends_at"))),
        lease_expires_at=Case(When(resting, then=F("lease_expires_at")), default=lease_end()),
        ahead=ahead,
        labeler=labeler,
    )


def _with_token(assignment: Assignment, labeler: User) -> Assignment:
    """The slot just leased, with this labeler's token in the place of a former one's."""
    token = token_for(assignment, labeler)
    if assignment.lease_token != token:
        Assignment.objects.filter(pk=assignment.pk).update(lease_token=token)
        assignment.lease_token = token
    return assignment


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
    """Slots that anybody may take: never leased, or the lease has lapsed."""
    return Q(labeler=None) | Q(lease_expires_at__lte=Now())


def lease_end() -> Expression:
    """When a lease that starts now ends, by the database's clock."""
    minutes = Value(timedelta(minutes=settings.LEASE_MINUTES))
    return ExpressionWrapper(Now() + minutes, output_field=models.DateTimeField())


def shown(assignment: Assignment) -> list[Completion]:
    """The completions in the order in which this slot shows them."""
    items = list(assignment.slate.items.select_related("completion"))
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
    until = ExpressionWrapper(
        Now() + Value(timedelta(minutes=assignment.project.break_minutes)),
        output_field=models.DateTimeField(),
    )
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
