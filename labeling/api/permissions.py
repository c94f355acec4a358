"""What a request may do: scopes of its token ∩ role of its user ∩ the token's project.

Each view states a Rule for each of its methods; a method without one is refused. What isn't
visible is 404, what is visible but not allowed is 403 with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.db.models import OuterRef, Q, Subquery
from django.http import Http404
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request

from labeling.api.parsers import JSONBodyParser
from labeling.hidden_numbers import Of, hidden, revealed
from labeling.models import Membership, Project, Role, Token, User

if TYPE_CHECKING:
    from labeling.models.prompts import ProjectQuerySet


class Scope(StrEnum):
    """What a token was made for."""

    READ = "read"
    WRITE = "write"
    TRAIN = "train"


EVERYONE = tuple(Role)
MANAGERS = (Role.MANAGER,)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Who may use a method, and with which scope."""

    scope: Scope
    roles: tuple[Role, ...] = EVERYONE


class MayUse(BasePermission):
    """Holds a request against its view's rule."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Raise what is wrong: a scope (403), a project not visible (404), a role (403)."""
        rule = view.rules.get("GET" if request.method == "HEAD" else request.method)
        if rule is None:
            return False
        if rule.scope not in token_of(request).scopes.split():
            message = _("This token lacks the scope “%(scope)s”.") % {"scope": rule.scope.value}
            raise PermissionDenied(message, code="scope_missing")
        if isinstance(view, ProjectView) and view.role not in rule.roles:
            raise PermissionDenied(_("Your role in this project may not do this."), "role_missing")
        return True


class RuledView(GenericAPIView[Any]):
    """A view whose methods each have a rule."""

    rules: ClassVar[Mapping[str, Rule]] = {}
    permission_classes = [IsAuthenticated, MayUse]
    parser_classes = [JSONBodyParser]
    http_method_names = ["get", "head", "post", "patch"]

    def get_permissions(self) -> Sequence[Any]:
        """A method that the view does not have answers 405, whoever asks, once signed in."""
        if (self.request.method or "").lower() not in self.http_method_names or not hasattr(
            self, (self.request.method or "").lower()
        ):
            return [IsAuthenticated()]
        return super().get_permissions()

    @property
    def user(self) -> User:
        """Whose token it is."""
        return user_of(self.request)


class ProjectView(RuledView):
    """A view below /projects/<slug>/."""

    @cached_property
    def _project_and_role(self) -> tuple[Project, Role]:
        membership = Membership.objects.filter(project=OuterRef("pk"), user=self.user)
        projects = visible_projects(self.request).annotate(
            member_role=Subquery(membership.values("role")[:1])
        )
        project = projects.filter(slug=self.kwargs["slug"]).first()
        if project is None:
            raise Http404
        role = Role.MANAGER if self.user.is_superuser else Role(vars(project)["member_role"])
        return project, role

    @property
    def project(self) -> Project:
        """The project of the address. Raises Http404 where the request does not see it."""
        return self._project_and_role[0]

    @property
    def role(self) -> Role:
        """What the user is in it; a superuser may do what a manager may."""
        return self._project_and_role[1]

    @property
    def works_blind(self) -> bool:
        """Labelers can't tell gold items, repeats and models from each other: see `shown_id`."""
        return self.role == Role.LABELER

    def shown_id(self, of: Of, pk: int) -> int:
        """The id, or for labelers the hidden number in its place."""
        return hidden(of, pk) if self.works_blind else pk

    def meant_id(self, of: Of, sent: int) -> int:
        """The id that is meant by what was shown; 0, which nothing has, where it is none."""
        return (revealed(of, sent) or 0) if self.works_blind else sent


def user_of(request: Request) -> User:
    """The signed-in user of a request that passed IsAuthenticated."""
    return cast(User, request.user)


def token_of(request: Request) -> Token:
    """The token of a request that passed IsAuthenticated."""
    return cast(Token, request.auth)


def visible_projects(request: Request, *roles: Role) -> ProjectQuerySet:
    """Projects that the user sees in one of `roles` and the token reaches."""
    reach = token_of(request).project_id
    within = Q() if reach is None else Q(pk=reach)
    return Project.objects.visible_to(user_of(request), *roles).filter(within)
