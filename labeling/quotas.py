"""At most so many rankings: of a labeler, of a category, of both; in a day, a week, ever.

A quota is looked at when a slot is leased: what it closes is not given out any more. A slot that
somebody holds stays theirs. What was done is known from work days; what is in hands counts too, so
that one who holds a slot and has the next one ready keeps the quota. Two people who lease at the
very same moment can pass a quota that all share by one: the work itself is never given out twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models import Assignment, Project, Quota, User, WorkDay
from labeling.prepared import Given, Prepared
from labeling.refusals import Refusal

MOST = 1_000_000
"""Rankings that a quota can allow."""
EVER = Quota.Period.EVER
PERIODS = (Quota.Period.DAY, Quota.Period.WEEK, EVER)
_OF_LABELER = Prepared(
    lambda: Quota.objects.filter(
        Q(labeler=None) | Q(labeler=Given("labeler")), project=Given("project")
    ).order_by("category", "pk")
)


class QuotaRefused(Refusal):
    """It would hold for nobody, or says the same as another."""

    code = "quota_refused"
    status = 400
    sentence = _("A quota that all share has no labeler of its own.")


@dataclass(frozen=True)
class _Work:
    """Rankings that one person did or has in hands in one category, by period."""

    labeler: int
    category: str
    of: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class UsedUp:
    """A quota that is done, and when it starts anew (None: never)."""

    quota: Quota
    anew: date | None


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What a labeler may still be given."""

    used_up: tuple[UsedUp, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether a quota for every category is done."""
        return any(not one.quota.category for one in self.used_up)

    @property
    def closed(self) -> list[str]:
        """The categories of which nothing more is given out."""
        return [one.quota.category for one in self.used_up if one.quota.category]

    def open_slots(self) -> Q:
        """The slots that may be given out."""
        if self.nothing:
            return Q(pk__in=[])
        return ~Q(category__in=self.closed) if self.closed else Q()


def add_quota(
    *,
    project: Project,
    most: int,
    period: Quota.Period | str = Quota.Period.DAY,
    labeler: User | None = None,
    category: str = "",
    shared: bool = False,
) -> Quota:
    """A quota; one of the same kind is replaced. Raises QuotaRefused.

    labeler: None for each of them, or, where `shared`, for all of them together.
    """
    if shared and labeler is not None:
        raise QuotaRefused
    if not 0 <= most <= MOST:
        raise QuotaRefused(_("At most from 0 to %(most)s rankings."), most=MOST)
    kind = {
        "project": project,
        "labeler": labeler,
        "category": category.strip(),
        "shared": shared,
        "period": Quota.Period(period),
    }
    same = Quota.objects.filter(**kind)
    if same.update(most=most):
        return same.order_by("pk")[0]
    return Quota.objects.create(**kind, most=most)


def remove_quota(*, quota: Quota) -> None:
    """It holds no more. Removed twice, it is removed once."""
    Quota.objects.filter(pk=quota.pk).delete()


def allowance(*, project: Project, labeler: User) -> Allowance:
    """What quotas leave for `labeler` at this moment. One query where the project has none."""
    quotas = _OF_LABELER.all(project=project.pk, labeler=labeler.pk)
    if not quotas:
        return Allowance()
    today = timezone.localdate()
    work = _work(project, labeler, everybody=any(quota.shared for quota in quotas), today=today)
    used_up = [
        UsedUp(quota=quota, anew=_starts_anew(quota, today))
        for quota in quotas
        if _used(quota, work, labeler) >= quota.most
    ]
    return Allowance(used_up=tuple(used_up))


def _used(quota: Quota, work: list[_Work], labeler: User) -> int:
    """How many rankings count against `quota` for `labeler`."""
    return sum(
        one.of[quota.period]
        for one in work
        if (quota.shared or one.labeler == labeler.pk) and quota.category in ("", one.category)
    )


def _work(project: Project, labeler: User, *, everybody: bool, today: date) -> list[_Work]:
    """What the labeler, or everybody, did and holds, by category."""
    days = WorkDay.objects.filter(project=project)
    held = Assignment.objects.filter(
        project=project, state=Assignment.State.OPEN, labeler__isnull=False
    )
    if everybody:
        held = held.filter(Q(labeler=labeler) | Q(lease_expires_at__gt=Now()))
    else:
        days, held = days.filter(labeler=labeler), held.filter(labeler=labeler)
    done = (
        days.order_by()
        .values_list("labeler", "category")
        .annotate(
            today=Coalesce(Sum("rankings", filter=Q(day=today)), 0),
            week=Coalesce(Sum("rankings", filter=Q(day__gte=_monday(today))), 0),
            ever=Coalesce(Sum("rankings"), 0),
        )
    )
    found = [
        _Work(who, category, {Quota.Period.DAY: day, Quota.Period.WEEK: week, EVER: ever})
        for who, category, day, week, ever in done
    ]
    in_hands = held.values_list("labeler", "category")
    found += [_Work(who or 0, category, dict.fromkeys(PERIODS, 1)) for who, category in in_hands]
    return found


def _monday(day: date) -> date:
    """The first day of its week."""
    return day - timedelta(days=day.weekday())


def _starts_anew(quota: Quota, today: date) -> date | None:
    """The day on which it counts from nothing again."""
    if quota.period == Quota.Period.DAY:
        return today + timedelta(days=1)
    return _monday(today) + timedelta(days=7) if quota.period == Quota.Period.WEEK else None
