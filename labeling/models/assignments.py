"""Who ranks what: the slots of a slate, their leases, what was skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.people import Role, User
from labeling.models.prompts import Project
from labeling.models.slates import Slate

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    """The vocabulary of assignments."""

    def visible_to(self, user: User | AnonymousUser, *roles: Role | str) -> AssignmentQuerySet:
        """Assignments of projects that `user` sees."""
        return self.filter(project__in=Project.objects.visible_to(user, *roles))


class Assignment(models.Model):
    """A slot of a slate: one labeler's turn at it. Slots are made with the slate."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        DONE = "done", _("Done")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    slate = models.ForeignKey(Slate, on_delete=models.CASCADE, related_name="assignments")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="assignments")
    slot = models.PositiveSmallIntegerField()
    priority = models.IntegerField(default=0)
    """Higher comes first; a deployment puts the former policy's unopened slates last."""
    category = models.CharField(max_length=60, blank=True)
    """The prompt's, so that a lease needs no join."""
    language = models.CharField(max_length=12, blank=True)
    """The primary subtag of the prompt's: "zh" of "zh-Hans"; empty: for everybody."""
    state = models.CharField(max_length=20, choices=State.choices, default=State.OPEN)
    labeler = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="assignments"
    )
    """Who holds it, held it last (the lease lapsed and nobody else took it), or did it."""
    lease_token = models.UUIDField(null=True, blank=True, unique=True)
    """Names the last lease. Who gave the slot back can still submit by it, if nobody took it."""
    ahead = models.BooleanField(default=False)
    """Given out with the one before, so that it is there at once; for a short time."""
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    order = models.CharField(max_length=9)
    """Canonical positions in the order shown in this slot, for example "2031"; shuffled once."""
    opened_at = models.DateTimeField(null=True, blank=True)
    """When its labeler was given it, be it ahead: the page may show it before the server hears."""
    completed_at = models.DateTimeField(null=True, blank=True)
    break_ends_at = models.DateTimeField(null=True, blank=True)
    """A break is taken once a slot; the lease holds until then."""

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["slate", "slot"], name="slot_once"),
            models.UniqueConstraint(
                fields=["slate", "labeler"],
                condition=Q(labeler__isnull=False),
                name="labeler_once_a_slate",
            ),
            models.UniqueConstraint(
                fields=["project", "labeler"],
                condition=Q(state="open", labeler__isnull=False, ahead=False),
                name="one_open_lease",
            ),
            models.UniqueConstraint(
                fields=["project", "labeler"],
                condition=Q(state="open", labeler__isnull=False, ahead=True),
                name="one_lease_ahead",
            ),
        ]
        indexes = [
            models.Index(
                fields=["project", "-priority", "id", "lease_expires_at"],
                condition=Q(state="open"),
                name="assignment_queue",
            ),
            models.Index(fields=["labeler", "state", "-completed_at"], name="assignment_mine"),
        ]

    def __str__(self) -> str:
        return f"assignment {self.pk} of slate {self.slate_id}"


class Skip(models.Model):
    """A labeler passed on a slate; it is not offered to that labeler again."""

    slate = models.ForeignKey(Slate, on_delete=models.CASCADE, related_name="skips")
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="skips")
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["slate", "labeler"], name="skipped_once"),
        ]

    def __str__(self) -> str:
        return f"{self.labeler} skipped {self.slate_id}"
