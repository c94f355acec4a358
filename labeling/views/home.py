"""The first page: which projects are mine, and what waits for me in each."""

from __future__ import annotations

from django.db.models import Exists, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import render

from labeling import notices
from labeling.assignments import free
from labeling.leasing import active_labelers, untouched_by
from labeling.models import (
    RANKERS,
    READERS,
    Assignment,
    Membership,
    Project,
    Prompt,
    Purpose,
    Role,
    Tally,
    User,
    WorkDay,
)
from labeling.reading import readable
from labeling.slates import DEMOTED
from labeling.views.access import SignedIn, may_create_projects, signed_in

MOST_NOTICES = 6
MOST_READY = 1_000
"""More are not counted: nobody needs to know how many, and each would have to be looked at."""


class _CountOf(Subquery):
    """How many rows a subquery has, which may be cut off."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()


def _prompts() -> Coalesce:
    """How many prompts the outer project has: as tallied where it is large, else counted now."""
    tallied = Tally.objects.filter(project=OuterRef("pk"), measure=Tally.Measure.PROMPTS)
    summed = tallied.order_by().values("project").annotate(n=Sum("number")).values("n")
    live = Prompt.objects.live().filter(project=OuterRef("pk")).order_by().values("pk")
    return Coalesce(Subquery(summed, output_field=IntegerField()), _CountOf(live))


def _ready(user: User) -> _CountOf:
    """How many slates wait for `user` in the outer project, at most one more than MOST_READY."""
    slots = _ready_for(user).filter(project=OuterRef("pk")).order_by()
    return _CountOf(slots.values("slate").distinct()[: MOST_READY + 1])


def _sum(work: QuerySet[WorkDay], what: str) -> Coalesce:
    """So much of `what` in the outer project, from work days: no ranking is read."""
    rows = work.filter(project=OuterRef("pk")).order_by().values("project")
    summed = rows.annotate(number=Sum(what)).values("number")
    return Coalesce(Subquery(summed, output_field=IntegerField()), 0)


def _ready_for(user: User) -> QuerySet[Assignment]:
    """Slots that `lease_next` could give to `user`, but for those of a former policy.

    What the person holds; else free ones of slates that they neither ranked nor skipped, in a
    language that they read, blind comparisons only where they are a labeler or the project has
    none. Quotas are told on the ranking page.
    """
    could_take = _could_take(user) & Q(priority__gt=DEMOTED // 2)
    return Assignment.objects.filter(Q(labeler=user) | could_take, state=Assignment.State.OPEN)


def _earlier_for(user: User) -> QuerySet[Assignment]:
    """Slots of a former policy that `lease_next` gives to `user` where there are no others."""
    last_placed = Q(priority__lte=DEMOTED // 2)
    return Assignment.objects.filter(
        _could_take(user) & last_placed, state=Assignment.State.OPEN, project=OuterRef("pk")
    )


def _could_take(user: User) -> Q:
    labelers = active_labelers(OuterRef("project"))
    may_judge = Exists(labelers.filter(user=user)) | ~Exists(labelers)
    return (
        free()
        & untouched_by(user)
        & readable(user.languages)
        & (Q(slate__purpose=Purpose.TRAINING) | may_judge & Q(slate__purpose=Purpose.EVALUATION))
    )


def _projects_of(user: User) -> QuerySet[Project]:
    """The projects `user` sees, with the counts that the page shows, in one query."""
    work = WorkDay.objects.all()
    return Project.objects.visible_to(user).annotate(
        prompt_count=_prompts(),
        ready_count=_ready(user),
        earlier_left=Exists(_earlier_for(user)),
        ranking_count=_sum(work, "rankings"),
        my_ranking_count=_sum(work.filter(labeler=user), "rankings"),
    )


@signed_in
def home(request: SignedIn) -> HttpResponse:
    """Every project the person sees, archived ones apart."""
    user = request.user
    roles = dict(Membership.objects.filter(user=user).values_list("project_id", "role"))
    shown: list[dict[str, object]] = []
    archived: list[dict[str, object]] = []
    ranked_in: list[int] = []
    for project in _projects_of(user):
        role = Role.MANAGER if user.is_superuser else Role(roles[project.pk])
        reads, ranks = role in READERS, role in RANKERS
        rows = shown if project.archived_at is None else archived
        if ranks and rows is shown:
            ranked_in.append(project.pk)
        rows.append({"project": project, "role": role, "ranks": ranks, "reads": reads})
    page = {
        "rows": shown,
        "archived": archived,
        "most_ready": MOST_READY,
        "may_create": may_create_projects(user),
        "notices": list(notices.unseen(user).filter(project__in=ranked_in)[:MOST_NOTICES]),
    }
    return render(request, "labeling/home.html", page)
