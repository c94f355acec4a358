"""Who works here: users, their roles in projects, invitations, API tokens."""

from __future__ import annotations

import secrets
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


def random_pseudonym() -> str:
    """A name for exports that tells nothing of the person."""
    return f"labeler-{secrets.token_hex(5)}"


class User(AbstractUser):
    """A person. Exports know only the pseudonym."""

    first_name = None  # type: ignore[assignment]  # one name field serves every culture
    last_name = None  # type: ignore[assignment]  # see first_name
    name = models.CharField(_("name"), max_length=150, blank=True)
    pseudonym = models.CharField(max_length=40, unique=True, default=random_pseudonym)

    languages = models.CharField(
        _("languages that I read"),
        max_length=120,
        blank=True,
        help_text=_("Codes with spaces between, for example “en zh”; empty: any."),
    )
    interface_language = models.CharField(_("language of the pages"), max_length=12, blank=True)

    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.name or self.username


class Role(models.TextChoices):
    """What a person may do in one project."""

    LABELER = "labeler", _("Labeler")
    REVIEWER = "reviewer", _("Reviewer")
    MANAGER = "manager", _("Manager")
    RESEARCHER = "researcher", _("Researcher")


RANKERS = (Role.LABELER, Role.REVIEWER, Role.MANAGER)
READERS = (Role.REVIEWER, Role.MANAGER, Role.RESEARCHER)
"""Who sees which model wrote what, on the pages as over REST."""


class Membership(models.Model):
    """A person's role in a project. A superuser needs none."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    project = models.ForeignKey(
        "labeling.Project", on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=20, choices=Role.choices)
    accepted_at = models.DateTimeField(null=True, blank=True)
    """Passed the quiz, or was let in by a manager. Nobody else needs it where there is no quiz."""
    quiz_failed_at = models.DateTimeField(null=True, blank=True)
    quiz_since = models.DateTimeField(null=True, blank=True)
    """Only quiz items done since then count: a manager gave another try."""
    paused_at = models.DateTimeField(null=True, blank=True)
    """Gets nothing to rank until a manager says so."""
    paused_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    """None: the gold items did."""
    pause_note = models.CharField(max_length=400, blank=True)
    gold_since = models.DateTimeField(null=True, blank=True)
    """Only gold items done since then are looked at: a manager ended a pause."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "project"], name="one_role_per_project"),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.project} · {self.role}"


class Invitation(models.Model):
    """A link that works once. Only the token's hash is kept."""

    project = models.ForeignKey(
        "labeling.Project", on_delete=models.CASCADE, related_name="invitations"
    )
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.LABELER)
    note = models.CharField(_("for whom"), max_length=200, blank=True)
    token_hash = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    def __str__(self) -> str:
        return f"{self.project} · {self.role} · {self.note}"


class SignInLink(models.Model):
    """A one-time sign-in, made by a manager or (`created_by` is None) by the installation."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_in_links")
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"sign-in link {self.pk} of {self.user}"


class Token(models.Model):
    """An API token: rights are its scopes ∩ the role ∩ an optional project."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(max_length=12)
    token_hash = models.CharField(max_length=64, unique=True)
    scopes = models.CharField(max_length=200)
    """Space-separated, for example "read" or "read write train"."""
    project = models.ForeignKey(
        "labeling.Project", on_delete=models.CASCADE, null=True, blank=True, related_name="tokens"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(scopes=""), name="token_has_a_scope"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
