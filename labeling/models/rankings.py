"""What a labeler said of a slate. Append-only: a correction is a new row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from labeling.models.assignments import Assignment
from labeling.models.completions import Completion
from labeling.models.flags import CompletionFlag, PromptFlag
from labeling.models.guidelines import Guidelines
from labeling.models.people import Role, User
from labeling.models.prompts import Project
from labeling.models.slates import Slate

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


class RankingQuerySet(models.QuerySet["Ranking"]):
    """The vocabulary of rankings."""

    def visible_to(self, user: User | AnonymousUser, *roles: Role | str) -> RankingQuerySet:
        """Rankings of projects that `user` sees."""
        return self.filter(slate__project__in=Project.objects.visible_to(user, *roles))

    def current(self) -> RankingQuerySet:
        """What stands: replaced rankings left out."""
        return self.filter(is_current=True)


class Ranking(models.Model):
    """One labeler's ranking of a slate."""

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="rankings")
    slate = models.ForeignKey(Slate, on_delete=models.PROTECT, related_name="rankings")
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="rankings")
    replaces = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by"
    )
    is_current = models.BooleanField(default=True)
    seconds = models.FloatField()
    """Active seconds from the first look to the submission."""
    guidelines = models.ForeignKey(
        Guidelines, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    """The version in force when it was submitted."""
    none_good = models.BooleanField(default=False)
    """The labeler found none of the completions good enough."""
    comment = models.TextField(blank=True)
    right_share = models.FloatField(null=True, blank=True)
    """Where the answer was known: the share of its pairs that were ordered alike, 0 to 1."""
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RankingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["assignment"],
                condition=Q(is_current=True),
                name="one_current_ranking",
            ),
            models.CheckConstraint(condition=Q(seconds__gte=0), name="seconds_not_negative"),
        ]

    def __str__(self) -> str:
        return f"ranking {self.pk} of slate {self.slate_id}"


class RankedCompletion(models.Model):
    """One completion's rank in a ranking: 1 is best, ranks are dense, equal ranks are ties."""

    ranking = models.ForeignKey(Ranking, on_delete=models.CASCADE, related_name="ranks")
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="ranks")
    rank = models.PositiveSmallIntegerField()
    likert = models.PositiveSmallIntegerField(null=True, blank=True)
    """Overall quality: 1 is worst, 7 is best."""

    class Meta:
        ordering = ["rank", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["ranking", "completion"], name="ranked_once"),
            models.CheckConstraint(condition=Q(rank__gte=1), name="rank_from_one"),
            models.CheckConstraint(
                condition=Q(likert=None) | Q(likert__gte=1, likert__lte=7), name="likert_is_1_to_7"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rank}: {self.completion_id}"


class FlaggedCompletion(models.Model):
    """What a labeler noted of one completion."""

    ranking = models.ForeignKey(Ranking, on_delete=models.CASCADE, related_name="completion_flags")
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="flags")
    flag = models.CharField(max_length=40, choices=CompletionFlag.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ranking", "completion", "flag"], name="completion_flagged_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.flag}: {self.completion_id}"


class FlaggedPrompt(models.Model):
    """What a labeler noted of the prompt."""

    ranking = models.ForeignKey(Ranking, on_delete=models.CASCADE, related_name="prompt_flags")
    flag = models.CharField(max_length=40, choices=PromptFlag.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["ranking", "flag"], name="prompt_flagged_once"),
        ]

    def __str__(self) -> str:
        return f"{self.flag}: {self.ranking_id}"


class Draft(models.Model):
    """A ranking under way. Belongs to the labeler and the slate, not to the lease."""

    slate = models.ForeignKey(Slate, on_delete=models.CASCADE, related_name="drafts")
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="drafts")
    sequence = models.PositiveBigIntegerField()
    """An older tab's draft never overwrites a newer one."""
    content = models.JSONField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["slate", "labeler"], name="one_draft_a_slate"),
        ]

    def __str__(self) -> str:
        return f"draft of {self.labeler} for slate {self.slate_id}"
