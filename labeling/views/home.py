"""The first page: which projects are mine, and what waits for me in each."""

from __future__ import annotations

from django.db.models import Count, IntegerField, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import render

from labeling.models import Assignment, Membership, Project, Prompt, Ranking, Role, User
from labeling.views.access import RANKERS, READERS, SignedIn, may_create_projects, signed_in


def _count(queryset: QuerySet, project_field: str) -> Coalesce:  # type: ignore[type-arg]  # any model's rows
    """How many rows of `queryset` belong to the outer project."""
    counted = (
        queryset.filter(**{project_field: OuterRef("pk")})
        .order_by()
        .values(project_field)
        .annotate(number=Count("pk"))
        .values("number")
    )
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def _projects_of(user: User) -> QuerySet[Project]:
    """The projects `user` sees, with the counts that the page shows: one query and one more."""
    rankings = Ranking.objects.current()
    free = Assignment.objects.filter(Q(labeler=None) | Q(labeler=user), state=Assignment.State.OPEN)
    return (
        Project.objects.visible_to(user)
        .annotate(
            prompt_count=_count(Prompt.objects.live(), "project"),
            ready_count=_count(free, "project"),
            ranking_count=_count(rankings, "slate__project"),
            my_ranking_count=_count(rankings.filter(labeler=user), "slate__project"),
        )
        .prefetch_related(
            Prefetch("memberships", queryset=Membership.objects.filter(user=user), to_attr="mine")
        )
    )


@signed_in
def home(request: SignedIn) -> HttpResponse:
    """Every project the person sees, archived ones apart."""
    projects = list(_projects_of(request.user))
    for project in projects:
        roles = [Role(membership.role) for membership in project.mine]
        role = Role.MANAGER if request.user.is_superuser else roles[0]
        project.role = role
        project.ranks = role in RANKERS
        project.reads = role in READERS
    return render(
        request,
        "labeling/home.html",
        {
            "projects": [project for project in projects if project.archived_at is None],
            "archived": [project for project in projects if project.archived_at is not None],
            "may_create": may_create_projects(request.user),
        },
    )
