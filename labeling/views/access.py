"""Who is asking, and whether they see it. What is not visible does not exist (404)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, update_wrapper
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.translation import gettext_lazy as _

from labeling.models import Membership, Project, Role, User
from labeling.prepared import Given, Prepared
from labeling.views.kept_forms import sign_in_and_keep

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails

P = ParamSpec("P")


class SignedIn(HttpRequest):
    """A request of somebody who is signed in."""

    user: User
    htmx: HtmxDetails


View = Callable[Concatenate[SignedIn, P], HttpResponseBase]


OTHER_ACCOUNT = _(
    "Somebody else is signed in in this browser. What you entered waits here until you sign in "
    "again."
)


def signed_in(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Let only signed-in people in; others are led to the sign-in page.

    A request by htmx or by a script gets 401 instead: the page it comes from stays as it is, with
    what was entered, and says so; also where that page (Page-Of) is of somebody else than who is
    signed in by now. A form sent without scripts is kept in the sign-in page.
    """

    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.user.is_authenticated:
            if _page_of(request) not in {"", str(request.user.pk)}:
                other = {"code": "other_account", "message": OTHER_ACCOUNT}
                return JsonResponse(other, status=401, headers={"Other-Account": "1"})
            return view(request, *args, **kwargs)  # type: ignore[arg-type]  # narrowed just above
        if request.headers.get("HX-Request"):
            return HttpResponse(status=401)
        if request.method == "POST":
            return sign_in_and_keep(request)
        return redirect_to_login(request.get_full_path())

    update_wrapper(guarded, view)
    return guarded


def _page_of(request: HttpRequest) -> str:
    """Whose page a script's request comes from, by the person's id; empty where it doesn't say.

    In a field where it can't be a header: a page that goes away sends a beacon.
    """
    return request.headers.get("Page-Of") or request.POST.get("page_of", "")


def project_for(request: SignedIn, slug: str, *roles: Role) -> Project:
    """The project at `slug` if the person has one of `roles` in it (any, if none is named).

    Raises Http404.
    """
    if request.user.is_superuser:
        found = Project.objects.select_related("guidelines").filter(slug=slug).first()
    else:
        found = _projects(roles).first(slug=slug, user=request.user.pk)
    if found is None:
        raise Http404
    return found


@lru_cache
def _projects(roles: tuple[Role, ...]) -> Prepared[Project]:
    """The project at the slug given, where the user given has one of `roles` in it."""
    return Prepared(
        lambda: (
            Project.objects.of_member(Given("user"), *roles)
            .filter(slug=Given("slug"))
            .select_related("guidelines")
        )
    )


def role_in(project: Project, user: User) -> Role | None:
    """What `user` is in `project`; a superuser is a manager everywhere."""
    if user.is_superuser:
        return Role.MANAGER
    membership = Membership.objects.filter(user=user, project=project).first()
    return Role(membership.role) if membership else None


def may_create_projects(user: User) -> bool:
    """Whoever manages a project, or the installation, may start another."""
    return user.is_superuser or user.memberships.filter(role=Role.MANAGER).exists()
