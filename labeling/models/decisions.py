"""What is held to be right of a slate: an adjudicator's word, or a known answer."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from labeling.models.completions import Completion
from labeling.models.people import User
from labeling.models.slates import Slate


class Decision(models.Model):
    """Stands beside the rankings of a slate and replaces none. Append-only, as they are.

    Of a training slate: what an adjudicator decided. Of a gold, quiz or practice slate: the answer
    that labelers are measured by.
    """

    slate = models.ForeignKey(Slate, on_delete=models.PROTECT, related_name="decisions")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="decisions")
    replaces = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by"
    )
    is_current = models.BooleanField(default=True)
    explanation = models.TextField(blank=True)
    """In Markdown; shown to labelers after a practice item."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["slate"], condition=Q(is_current=True), name="one_current_decision"
            ),
        ]

    def __str__(self) -> str:
        return f"decision {self.pk} of slate {self.slate_id}"


class DecidedRank(models.Model):
    """One completion's rank in a decision: 1 is best, ranks are dense, equal ranks are ties."""

    decision = models.ForeignKey(Decision, on_delete=models.CASCADE, related_name="ranks")
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    rank = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["rank", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["decision", "completion"], name="decided_once"),
            models.CheckConstraint(condition=Q(rank__gte=1), name="decided_rank_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.rank}: {self.completion_id}"
