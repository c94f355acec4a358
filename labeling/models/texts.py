"""Plain texts that the policy shall not forget while it learns from rankings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.people import Role, User
from labeling.models.prompts import Import, Project

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


class TextQuerySet(models.QuerySet["Text"]):
    """The vocabulary of texts."""

    def visible_to(self, user: User | AnonymousUser, *roles: Role | str) -> TextQuerySet:
        """Live texts of projects that `user` sees."""
        return self.live().filter(project__in=Project.objects.visible_to(user, *roles))

    def live(self) -> TextQuerySet:
        """Neither withdrawn nor part of an import that is not committed."""
        return self.committed().filter(withdrawn_at=None)

    def committed(self) -> TextQuerySet:
        """Not part of an import that is not committed; withdrawn or not."""
        return self.filter(imported__committed_at__isnull=False)


class Text(models.Model):
    """A text of no prompt: PPO mixes its likelihood in (InstructGPT's PPO-ptx, section 3.5)."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="texts")
    text = models.TextField(_("text"))
    text_hash = models.CharField(max_length=64)
    imported = models.ForeignKey(Import, on_delete=models.PROTECT, related_name="texts")
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = TextQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "text_hash"], name="text_once"),
        ]
        indexes = [
            models.Index(
                fields=["project", "id"], condition=Q(withdrawn_at=None), name="texts_that_stand"
            ),
        ]

    def __str__(self) -> str:
        return self.text[:80]
