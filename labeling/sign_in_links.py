"""One-time sign-in links: who may have one made for whom, and what it does when it is opened.

Whoever opens a link acts as its person. So a manager makes links only for people whose rights all
lie within that manager's own, and this is looked at again when the link is used: both may have
other rights by then. Secrets leave once, as a return value. Knows nothing of addresses.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models import Role, SignInLink, User
from labeling.people import hash_of, refuse_weak_password
from labeling.refusals import Refusal

LINK_MINUTES = 60
SENT_LINK_MINUTES = 24 * 60
"""For a link that somebody passes on: who gets it may read it tomorrow."""


class SignInLinkInvalid(Refusal):
    """Unknown, used, replaced or expired; or its maker may not make it any more."""

    code = "sign_in_link_invalid"
    status = 410
    sentence = _("This sign-in link was used before, replaced, or is too old. Ask for a new one.")


class PersonDeactivated(Refusal):
    """Nobody signs in as somebody who was deactivated."""

    code = "person_deactivated"
    sentence = _("%(name)s is deactivated: no link lets them in.")


class OwnSignInLink(Refusal):
    """A session left open must not be enough to set a new password."""

    code = "own_sign_in_link"
    sentence = _("Your own password is changed under your name, at the top right.")


class MoreRights(Refusal):
    """A link would give its maker rights that the maker doesn't have."""

    code = "more_rights"
    status = 403
    sentence = _(
        "%(name)s has rights outside the projects that you manage. Whoever runs this installation "
        "can make the link."
    )


def issue_sign_in_link(
    *, user: User, by: User | None = None, minutes: int = LINK_MINUTES
) -> tuple[SignInLink, str]:
    """A link that signs `user` in once, within `minutes`: the row and its secret.

    Earlier links of `user` stop working. by: who makes it; None is whoever runs the installation.
    Raises PersonDeactivated, OwnSignInLink, MoreRights.
    """
    if not user.is_active:
        raise PersonDeactivated(name=user)
    if by == user:
        raise OwnSignInLink
    if by is not None and not _has_all_rights_of(by, user):
        raise MoreRights(name=user)
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        _usable().filter(user=user).update(expires_at=Now())
        link = SignInLink.objects.create(
            user=user,
            token_hash=hash_of(secret),
            created_by=by,
            expires_at=timezone.now() + timedelta(minutes=minutes),
        )
    return link, secret


def find_sign_in_link(*, secret: str) -> SignInLink:
    """The link that still works, to show whom it lets in.

    Raises SignInLinkInvalid. Looking uses nothing up: chat programs fetch links.
    """
    links = _usable().filter(token_hash=hash_of(secret), user__is_active=True)
    link = links.select_related("user", "created_by").first()
    if link is None or (link.created_by and not _has_all_rights_of(link.created_by, link.user)):
        raise SignInLinkInvalid
    return link


def use_sign_in_link(*, secret: str, password: str = "") -> User:
    """Who signs in by this link, which is used up; with a new password, if one is given.

    Raises SignInLinkInvalid, and PasswordRefused, which leaves the link usable.
    """
    link = find_sign_in_link(secret=secret)
    if password:
        refuse_weak_password(password, link.user)
        link.user.set_password(password)
    with transaction.atomic():
        if not _usable().filter(pk=link.pk).update(used_at=Now()):
            raise SignInLinkInvalid
        if password:
            link.user.save(update_fields=["password"])
    return link.user


def _usable() -> QuerySet[SignInLink]:
    """Links that were neither used nor replaced, and are not too old."""
    return SignInLink.objects.filter(used_at=None, expires_at__gt=Now())


def _has_all_rights_of(by: User, user: User) -> bool:
    """Whether `by` manages the whole installation, or every project that `user` is in."""
    if by.is_superuser or not by.is_active:
        return by.is_active
    if user.is_superuser:
        return False
    managed = by.memberships.filter(role=Role.MANAGER).values_list("project_id", flat=True)
    theirs = set(user.memberships.values_list("project_id", flat=True))
    return bool(theirs) and theirs <= set(managed)
