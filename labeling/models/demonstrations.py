"""What a person would have answered."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from labeling.models.people import User
from labeling.models.prompts import Import, Prompt


class DemonstrationQuerySet(models.QuerySet["Demonstration"]):
    """The vocabulary of demonstrations."""

    def live(self) -> DemonstrationQuerySet:
        """Of live prompts, and not part of an import that is not committed."""
        committed = Q(imported=None) | Q(imported__committed_at__isnull=False)
        return self.filter(committed, prompt__in=Prompt.objects.live())


class Demonstration(models.Model):
    """A completion that a person wrote as the right answer."""

    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="demonstrations")
    text = models.TextField()
    text_hash = models.CharField(max_length=64)
    labeler = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="demonstrations"
    )
    imported = models.ForeignKey(
        Import, on_delete=models.PROTECT, null=True, blank=True, related_name="demonstrations"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DemonstrationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt", "text_hash"], name="demonstration_once"),
        ]

    def __str__(self) -> str:
        return self.text[:80]
