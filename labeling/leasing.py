"""What a labeler gets next: slots are leased for a while.

A lease is one conditional UPDATE by the database's clock. A labeler holds at most one open slot of
a project, and the same one comes back, with the same order and token, until it is done or skipped:
in a second tab, after a reload, and after the lease has lapsed if nobody else took the slot. Beside
it one more may be held ahead, so that the next prompt is there at once.
"""

from __future__ import annotations

from functools import lru_cache

from django.db import IntegrityError, transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Subquery, UUIDField, When
from django.db.models.functions import Coalesce, Now

from labeling import gold, repeats, screening
from labeling.assignments import free, lease_end, token_for
from labeling.draws import drawn
from labeling.models import (
    RANKERS,
    SHARED,
    Assignment,
    Membership,
    Project,
    Purpose,
    Role,
    Skip,
    Slate,
    User,
)
from labeling.pauses import refuse_paused
from labeling.prepared import Given, Prepared, PreparedUpdate
from labeling.quotas import allowance
from labeling.reading import readable
from labeling.slates import give_slot


def _held_slots() -> QuerySet[Assignment]:
    """The open slots that the labeler given has in the project given: one, and one ahead."""
    return Assignment.objects.filter(
        project=Given("project"), labeler=Given("labeler"), state=Assignment.State.OPEN
    )


TRIES = 3
"""Two tabs can collide once; the next try finds what the other one leased."""
_OPENING = PreparedUpdate(
    lambda: _held_slots().filter(ahead=True, break_ends_at=None),
    lambda: {"ahead": False, "opened_at": Now(), "lease_expires_at": lease_end()},
)
_SLATE = Prepared(lambda: Slate.objects.select_related("prompt").filter(pk=Given("slate")))
_TOKEN = PreparedUpdate(
    lambda: Assignment.objects.filter(pk=Given("assignment")),
    lambda: {"lease_token": Given("token", UUIDField())},
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
    return None if project.archived_at is not None else _lease(project, labeler, ahead=False)


def lease_ahead(*, project: Project, labeler: User) -> Assignment | None:
    """What the labeler will get after the open slot, held for a short time; None: nothing more.

    Only beside an open one. `lease_next` gives it out once that is done. Raises as that does.
    """
    return None if project.archived_at is not None else _lease(project, labeler, ahead=True)


def open_next(*, project: Project, labeler: User) -> int | None:
    """As `lease_next`, for who needs only the slot's id: the one held ahead is opened at once."""
    if project.archived_at is not None:
        return None
    try:
        with transaction.atomic():
            for opened in _OPENING.run(project=project.pk, labeler=labeler.pk):
                return opened.pk
    except IntegrityError:
        pass  # another one is open still
    following = lease_next(project=project, labeler=labeler)
    return following.pk if following else None


def _lease(project: Project, labeler: User, *, ahead: bool) -> Assignment | None:
    """The labeler's slot of this kind, else the next free one."""
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
    fits = readable(labeler.languages) & allowance(project=project, labeler=labeler).open_slots()
    taking = _taking(purposes, fits, ahead=ahead)
    for _attempt in range(TRIES):
        try:
            with transaction.atomic():
                if membership is not None:
                    _make_own_slot(membership, purposes, fits, ahead=ahead)
                found = taking.run(project=project.pk, labeler=labeler.pk)
                for taken in found:
                    _set_token(taken, labeler)
        except IntegrityError:
            continue  # another tab of this labeler was first
        for taken in found:
            taken.project = project
            (taken.slate,) = _SLATE.all(slate=taken.slate_id)
            return taken
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


def untouched_by(labeler: User | Given) -> Q:
    """Slots of slates that `labeler` neither ranked (or holds) nor skipped."""
    ranked = Assignment.objects.filter(slate=OuterRef("slate"), labeler=labeler)
    skipped = Skip.objects.filter(slate=OuterRef("slate"), labeler=labeler)
    return ~Exists(ranked) & ~Exists(skipped)


def _held(labeler: User | Given, *, ahead: bool) -> Q:
    """What comes back to the labeler before anything else."""
    return Q(labeler=labeler, ahead=True) if ahead else Q(labeler=labeler)


def _free_for(
    project: Project | Given, labeler: User | Given, purposes: tuple[Purpose, ...], fits: Q
) -> QuerySet[Assignment]:
    """The slots that the labeler could take: those that fit, of slates of these purposes."""
    slots = Assignment.objects.filter(project=project, state=Assignment.State.OPEN)
    others = Slate.objects.filter(pk=OuterRef("slate")).exclude(purpose__in=purposes)
    return slots.filter(free() & untouched_by(labeler) & fits).exclude(Exists(others))


def _make_own_slot(
    membership: Membership, purposes: tuple[Purpose, ...], fits: Q, *, ahead: bool
) -> None:
    """Where a slate for this labeler alone is due, a slot of it, which `_taking` then finds.

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
    if ahead and not slots.filter(labeler=labeler).exists():
        return
    if screened:
        slate = screening.next_item(membership=membership)
    elif not _free_for(project, labeler, purposes, fits).exists():
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


@lru_cache(maxsize=16)
def _taking(purposes: tuple[Purpose, ...], fits: Q, *, ahead: bool) -> PreparedUpdate[Assignment]:
    """The one conditional UPDATE, for a project and a labeler; it changes a slot, or none.

    Labelers differ in the languages that they read and in the quotas that are done: a project has
    few such `fits`.
    """
    labeler = Given("labeler")
    slots = Assignment.objects.filter(project=Given("project"), state=Assignment.State.OPEN)
    held = _held(labeler, ahead=ahead)
    own = slots.filter(held).order_by("ahead").values("pk")
    next_free = (
        _free_for(Given("project"), labeler, purposes, fits)
        .order_by("-priority", "pk")
        .select_for_update(skip_locked=True)
    )
    chosen = Coalesce(Subquery(own[:1]), Subquery(next_free.values("pk")[:1]))
    resting = held & Q(break_ends_at__gt=Now())
    beside = Exists(_held_slots().filter(ahead=False)) if ahead else Q()
    return PreparedUpdate(
        lambda: slots.filter(beside, held | free(), pk=chosen),
        lambda: {
            "opened_at": Case(When(held & Q(ahead=ahead), then=F("opened_at")), default=Now()),
            "break_ends_at": Case(When(held, then=F("break_ends_at"))),
            "lease_expires_at": Case(
                When(resting, then=F("lease_expires_at")), default=lease_end()
            ),
            "ahead": ahead,
            "labeler": labeler,
        },
    )


def _set_token(assignment: Assignment, labeler: User) -> None:
    """This labeler's token in the place of a former one's."""
    token = token_for(assignment, labeler)
    if assignment.lease_token != token:
        _TOKEN.run(assignment=assignment.pk, token=token)
        assignment.lease_token = token
