"""Who comes in, by what link or token, and with which role. Secrets leave once, as a return value.

Only SHA-256 hashes of secrets are stored: they are 256 random bits, so no slow hash is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models import (
    SHARED,
    Assignment,
    Invitation,
    Membership,
    Project,
    Role,
    Token,
    User,
    WritingTask,
)
from labeling.refusals import Refusal

SCOPES = ("read", "write", "train")
INVITATION_DAYS = 14
LEVELS = {Role.LABELER: 0, Role.REVIEWER: 1, Role.RESEARCHER: 1, Role.MANAGER: 2}
"""An invitation only ever lifts a member to a higher level; only a manager lowers a role."""
TOKEN_PREFIX = "rl_"  # noqa: S105  # tells scanners of leaked secrets whose token it is


class InvitationInvalid(Refusal):
    """Unknown, used, revoked or expired."""

    code = "invitation_invalid"
    status = 410
    sentence = _("This invitation no longer works. Ask the person who sent it for a new link.")


class UsernameRefused(Refusal):
    """Taken, or made of letters that user names don't have."""

    code = "username_refused"
    status = 400
    sentence = _("There is somebody of that user name already. Choose another one.")


class PasswordRefused(Refusal):
    """Too weak."""

    code = "password_refused"
    status = 400


class ScopesRefused(Refusal):
    """No scope, or one that does not exist."""

    code = "scopes_refused"
    status = 400
    sentence = _("A token needs at least one of these scopes: %(known)s.")


class LastManager(Refusal):
    """A project keeps at least one manager."""

    code = "last_manager"
    sentence = _("A project needs a manager. Make somebody else one first.")


def hash_of(secret: str) -> str:
    """What is stored of a secret: its SHA-256 in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_user(
    *, username: str, name: str = "", password: str | None = None, superuser: bool = False
) -> User:
    """A new person. Without a password only links let this person in.

    Raises UsernameRefused, PasswordRefused.
    """
    user = _new_user(username, name, password)
    user.is_staff = user.is_superuser = superuser
    return _stored(user)


def _new_user(username: str, name: str, password: str | None) -> User:
    """Not stored yet: hashing a password takes longer than a transaction should."""
    user = User(username=User.normalize_username(username.strip()), name=name.strip())
    try:
        user.full_clean(exclude=["password", "pseudonym"], validate_unique=False)
    except ValidationError as error:
        raise UsernameRefused(" ".join(error.messages)) from error
    if User.objects.filter(username__iexact=user.username).exists():
        raise UsernameRefused
    if password is None:
        user.set_unusable_password()
    else:
        refuse_weak_password(password, user)
        user.set_password(password)
    return user


def _stored(user: User) -> User:
    """Raises UsernameRefused where somebody else took the name at this very moment."""
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise UsernameRefused from error
    return user


def refuse_weak_password(password: str, user: User) -> None:
    """Raise PasswordRefused with the validators' own sentences."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise PasswordRefused(" ".join(error.messages)) from error


def deactivate_user(*, user: User) -> None:
    """Nobody gets in as `user` any more, or by links that `user` made; leases fall back.

    All work is kept.
    """
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(is_active=False)
        Token.objects.filter(user=user, revoked_at=None).update(revoked_at=Now())
        _revoke_invitations(Q(created_by=user))
        _release_leases(Q(labeler=user))
    user.is_active = False


def set_role(*, project: Project, user: User, role: Role | str) -> Membership:
    """Give `user` this role in `project`, whatever it was before. Raises LastManager.

    Links into the project that a former manager made stop working.
    """
    with transaction.atomic():
        if role != Role.MANAGER:
            _refuse_last_manager(project, user)
            _revoke_invitations(Q(project=project, created_by=user))
        membership, _created = Membership.objects.update_or_create(
            project=project, user=user, defaults={"role": Role(role)}
        )
    return membership


def remove_member(*, project: Project, user: User) -> None:
    """Take `user` out of `project`; leases fall back, all work is kept. Raises LastManager.

    Links into the project that `user` made stop working: nobody comes back by one.
    """
    with transaction.atomic():
        _refuse_last_manager(project, user)
        _revoke_invitations(Q(project=project, created_by=user))
        Membership.objects.filter(project=project, user=user).delete()
        _release_leases(Q(labeler=user, project=project))


def _revoke_invitations(which: Q) -> None:
    """Links that were not used yet stop working."""
    Invitation.objects.filter(which, accepted_at=None, revoked_at=None).update(revoked_at=Now())


def _release_leases(whose: Q) -> None:
    """Let others take what these people hold; what was made for one person stays theirs."""
    Assignment.objects.filter(whose, state=Assignment.State.OPEN, slate__purpose__in=SHARED).update(
        labeler=None, lease_expires_at=None
    )
    # What was written stays with its writer.
    WritingTask.objects.filter(whose, state=WritingTask.State.OPEN).update(lease_expires_at=None)


def _refuse_last_manager(project: Project, user: User) -> None:
    """Raise LastManager if `user` is the only one who can sign in.

    Locks the managers' rows until the commit.
    """
    active = User.objects.filter(is_active=True)
    managers = Membership.objects.filter(project=project, role=Role.MANAGER, user__in=active)
    if list(managers.select_for_update().values_list("user_id", flat=True)) == [user.pk]:
        raise LastManager


def invite(
    *, project: Project, role: Role | str = Role.LABELER, note: str = "", by: User
) -> tuple[Invitation, str]:
    """A link into `project` that works once, for INVITATION_DAYS days: the row and its secret."""
    secret = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        project=project,
        role=Role(role),
        note=note.strip()[:200],
        token_hash=hash_of(secret),
        created_by=by,
        expires_at=timezone.now() + timedelta(days=INVITATION_DAYS),
    )
    return invitation, secret


def find_invitation(*, secret: str) -> Invitation:
    """The invitation behind a link that still works, to show what it is for.

    Raises InvitationInvalid. Looking uses nothing up: chat programs fetch links.
    """
    invitation = _working(secret).select_related("project", "created_by").first()
    if invitation is None:
        raise InvitationInvalid
    return invitation


def accept_invitation(*, secret: str, username: str, name: str = "", password: str) -> User:
    """A new person comes in by a link, which is used up.

    Raises InvitationInvalid, UsernameRefused, PasswordRefused; the latter two leave it usable.
    """
    if not _working(secret).exists():
        raise InvitationInvalid
    user = _new_user(username, name, password)
    with transaction.atomic():
        _use_up(secret, _stored(user))
    return user


def join_by_invitation(*, secret: str, user: User) -> Membership:
    """Somebody who has an account comes into a project by a link, which is used up.

    A role that the person has there stays unless the link's is of a higher level (LEVELS). Raises
    InvitationInvalid.
    """
    with transaction.atomic():
        return _use_up(secret, user)


def _working(secret: str) -> QuerySet[Invitation]:
    """Invitations with this secret that can still be accepted: one or none."""
    return Invitation.objects.filter(
        token_hash=hash_of(secret), accepted_at=None, revoked_at=None, expires_at__gt=Now()
    )


def _use_up(secret: str, user: User) -> Membership:
    """Mark the invitation as accepted, once, and give the role. Raises InvitationInvalid."""
    if not _working(secret).update(accepted_at=Now(), accepted_by=user):
        raise InvitationInvalid
    invitation = Invitation.objects.get(token_hash=hash_of(secret))
    membership, created = Membership.objects.get_or_create(
        project=invitation.project, user=user, defaults={"role": invitation.role}
    )
    if not created and LEVELS[Role(invitation.role)] > LEVELS[Role(membership.role)]:
        membership.role = invitation.role
        membership.save(update_fields=["role"])
    return membership


def revoke_invitation(*, invitation: Invitation) -> None:
    """The link stops working. One that was accepted stays so."""
    Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(
        revoked_at=Now()
    )


def reissue_invitation(*, invitation: Invitation, by: User) -> tuple[Invitation, str]:
    """A new link for the same role and person; the old one stops working."""
    with transaction.atomic():
        revoke_invitation(invitation=invitation)
        return invite(project=invitation.project, role=invitation.role, note=invitation.note, by=by)


def issue_token(
    *,
    user: User,
    name: str,
    scopes: Iterable[str],
    project: Project | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """An API token: the row and its secret, which is shown once. Raises ScopesRefused."""
    wanted = set(scopes)
    if not wanted or not wanted <= set(SCOPES):
        raise ScopesRefused(known=", ".join(SCOPES))
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = Token.objects.create(
        user=user,
        name=name.strip()[:100],
        prefix=secret[:12],
        token_hash=hash_of(secret),
        scopes=" ".join(scope for scope in SCOPES if scope in wanted),
        project=project,
        expires_at=expires_at,
    )
    return token, secret


def revoke_token(*, token: Token) -> None:
    """The token stops working."""
    Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=Now())


def authenticate_token(*, secret: str) -> Token | None:
    """The working token of this secret, with its user and project; None if there is none.

    Found by hash, so the time it takes tells nothing of the secret. `last_used_at` is written at
    most once a minute.
    """
    digest = hash_of(secret)
    token = (
        Token.objects.select_related("user", "project")
        .filter(Q(expires_at=None) | Q(expires_at__gt=Now()))
        .filter(token_hash=digest, revoked_at=None, user__is_active=True)
        .first()
    )
    if token is None or not hmac.compare_digest(token.token_hash, digest):
        return None
    minute_ago = timezone.now() - timedelta(minutes=1)
    if token.last_used_at is None or token.last_used_at < minute_ago:
        Token.objects.filter(pk=token.pk).update(last_used_at=Now())
    return token
