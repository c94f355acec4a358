"""Who ranks what now: slots are leased for a while, renewed, skipped.

A lease is one conditional UPDATE by the database's clock. A labeler holds at most one open slot of
a project, and the same one comes back, with the same order and token, until it is done or skipped:
in a second tab, after a reload, and after the lease has lapsed if nobody else took the slot. Beside
it one more may be held ahead, so that the next prompt is there at once.

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

from labeling import gold, repeats, screening
from labeling.draws import drawn
from labeling.models import (
    RANKERS,
    SHARED,
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
from labeling.pauses import refuse_paused
from labeling.quotas import Allowance, allowance
from labeling.reading import readable
from labeling.refusals import Refusal
from labeling.slates import give_slot

KEPT = timedelta(hours=2)
"""So long a slot is kept for whoever is given it apart from the queue: a lunch, not a night."""
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

    Never of a slate that this labeler ranked or skipped, of a language that they don't read, or
    beyond a quota (`labeling.quotas`). By priority, then the oldest. Evaluation
    slates are judged blind: they go to labelers, who don't see which model wrote what, and to
    others only where a project has no labeler. A labeler who is not accepted yet gets practice and
    quiz items; one who is gets a gold item or a repeat when it is due.

    Raises Paused, NotAccepted.
    """
    if project.archived_at is not None:
        return None
    return _lease(project, labeler, ahead=False)


def lease_ahead(*, project: Project, labeler: User) -> Assignment | None:
    """What the labeler will get after the open slot, held for a short time; None: nothing more.

    Only beside an open one. `lease_next` gives it out once that is done. Raises as that does.
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
    membership = screening.labeler_in(project=project, user=labeler)
    refuse_paused(membership)
    screened = screening.is_screened(membership)
    if screened and ahead:
        return None
    if screened:
        purposes: tuple[Purpose, ...] = ()
    elif membership is not None or not active_labelers(project).exists():
        purposes = SHARED
    else:
        purposes = (Purpose.TRAINING,)
    left = allowance(project=project, labeler=labeler)
    for _attempt in range(TRIES):
        try:
            with transaction.atomic():
                if membership is not None:
                    _make_own_slot(membership, purposes, left, ahead=ahead)
                if _take_next(project, labeler, purposes, left, ahead=ahead):
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


def _held(labeler: User, *, ahead: bool) -> Q:
    """What comes back to the labeler before anything else."""
    return Q(labeler=labeler, ahead=True) if ahead else Q(labeler=labeler)


def _free_for(
    project: Project, labeler: User, purposes: tuple[Purpose, ...], left: Allowance
) -> QuerySet[Assignment]:
    """The slots that the labeler could take, of slates of these purposes."""
    slots = Assignment.objects.filter(project=project, state=Assignment.State.OPEN)
    others = Slate.objects.filter(pk=OuterRef("slate")).exclude(purpose__in=purposes)
    suitable = free() & untouched_by(labeler) & readable(labeler.languages)
    return slots.filter(suitable).filter(left.open_slots()).exclude(Exists(others))


def _make_own_slot(
    membership: Membership, purposes: tuple[Purpose, ...], left: Allowance, *, ahead: bool
) -> None:
    """Where a slate for this labeler alone is due, a slot of it, which `_take_next` then finds.

    Gold and repeats come only among other prompts: where there are none, none of these comes.
    """
    project, labeler = membership.project, membership.user
    screened = not purposes
    kind = None if screened else _due(project, labeler, ahead=ahead)
    if not screened and kind is None:
        return
    slots = Assignment.objects.filter(project=project, state=Assignment.State.OPEN)
    if slots.filter(_held(labeler, ahead=ahead)).exists():
        return
    if screened:
        slate = screening.next_item(membership=membership)
    elif not _free_for(project, labeler, purposes, left).exists():
        return
    elif kind == Purpose.GOLD:
        slate = gold.next_gold(project=project, labeler=labeler)
    else:
        slate = repeats.next_repeat(project=project, labeler=labeler)
    if slate is not None:
        give_slot(slate=slate, labeler=labeler, ahead=ahead)


def _due(project: Project, labeler: User, *, ahead: bool) -> Purpose | None:
    """GOLD or REPEAT where the labeler's next prompt is to be one; the same when asked again."""
    if not project.gold_percent and not project.repeat_percent:
        return None
    mine = Assignment.objects.filter(project=project, labeler=labeler, state=Assignment.State.DONE)
    skipped = Skip.objects.filter(slate__project=project, labeler=labeler)
    number = mine.count() + skipped.count() + ahead
    if drawn(f"gold:{project.pk}:{labeler.pk}:{number}", project.gold_percent):
        return Purpose.GOLD
    if drawn(f"repeat:{project.pk}:{labeler.pk}:{number}", project.repeat_percent):
        return Purpose.REPEAT
    return None


def _take_next(
    project: Project,
    labeler: User,
    purposes: tuple[Purpose, ...],
    left: Allowance,
    *,
    ahead: bool,
) -> int:
    """The one conditional UPDATE; how many rows it changed (0 or 1)."""
    slots = Assignment.objects.filter(project=project, state=Assignment.State.OPEN)
    held = _held(labeler, ahead=ahead)
    own = slots.filter(held).order_by("ahead").values("pk")
    next_free = (
        _free_for(project, labeler, purposes, left)
        .order_by("-priority", "pk")
        .select_for_update(skip_locked=True)
    )
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
            lease_expires_at=ExpressionWrapper(
                Now() + Value(KEPT), output_field=models.DateTimeField()
            ),
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
