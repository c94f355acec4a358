"""What is ranked: a prompt with K frozen completions and a purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.completions import Completion
from labeling.models.people import Role, User
from labeling.models.prompts import Project, Prompt

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


class Purpose(models.TextChoices):
    """What a slate's rankings serve for. Only training slates enter training data."""

    TRAINING = "training", _("Training")
    EVALUATION = "evaluation", _("Evaluation")
    GOLD = "gold", _("Gold")
    QUIZ = "quiz", _("Quiz")
    PRACTICE = "practice", _("Practice")
    REPEAT = "repeat", _("Repeat")


SHARED = (Purpose.TRAINING, Purpose.EVALUATION)
"""Any labeler may take their slots. Those of other slates are made for one labeler when due."""
KNOWN_ANSWERS = (Purpose.PRACTICE, Purpose.QUIZ, Purpose.GOLD)
"""What is right of them is decided beforehand."""
SCREENING = (Purpose.PRACTICE, Purpose.QUIZ)
"""What comes before a labeler's first real prompt."""
LIKE_TRAINING = (Purpose.TRAINING, Purpose.GOLD, Purpose.REPEAT)
"""What labelers can't tell apart: whatever can be said of one can be said of all."""


class SlateQuerySet(models.QuerySet["Slate"]):
    """The vocabulary of slates."""

    def visible_to(self, user: User | AnonymousUser, *roles: Role | str) -> SlateQuerySet:
        """Slates of projects that `user` sees."""
        return self.filter(project__in=Project.objects.visible_to(user, *roles))

    def live(self) -> SlateQuerySet:
        """Neither they nor their prompts are withdrawn."""
        return self.filter(withdrawn_at=None, prompt__withdrawn_at=None)

    def items(self) -> SlateQuerySet:
        """With a known answer; those that give a labeler another try at one are left out."""
        return self.filter(purpose__in=KNOWN_ANSWERS).exclude(repeats__purpose__in=KNOWN_ANSWERS)


class Slate(models.Model):
    """A prompt with K frozen completions, to be ranked by one or more labelers."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="slates")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="slates")
    purpose = models.CharField(max_length=20, choices=Purpose.choices, default=Purpose.TRAINING)
    request = models.OneToOneField(
        "labeling.SampleRequest",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="slate",
    )
    """The need it fulfils; a request makes one slate, however often its result arrives."""
    batch = models.CharField(max_length=60, blank=True)
    """Which evaluation asked for it, so that its slates can be found again."""
    repeats = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="repeated_by"
    )
    """The slate whose prompt and completions it shows once more."""
    completions = models.ManyToManyField(Completion, through="SlateCompletion", related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = SlateQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "batch"], condition=~Q(batch=""), name="slate_once_a_batch"
            ),
        ]
        indexes = [models.Index(fields=["project", "purpose", "batch"], name="slate_batch")]

    def __str__(self) -> str:
        return f"slate {self.pk}: {self.prompt}"


class SlateCompletion(models.Model):
    """One of a slate's completions, at its canonical position (0 to K − 1)."""

    slate = models.ForeignKey(Slate, on_delete=models.CASCADE, related_name="items")
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["slate", "completion"], name="completion_once_a_slate"),
            models.UniqueConstraint(fields=["slate", "position"], name="position_once_a_slate"),
            models.CheckConstraint(condition=Q(position__lte=8), name="at_most_nine"),
        ]

    def __str__(self) -> str:
        return f"{self.slate_id}[{self.position}]"
