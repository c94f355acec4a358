"""What a person would have answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.completions import Completion
from labeling.models.people import Role, User
from labeling.models.prompts import Import, Project, Prompt

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


class DemonstrationQuerySet(models.QuerySet["Demonstration"]):
    """The vocabulary of demonstrations."""

    def visible_to(self, user: User | AnonymousUser, *roles: Role | str) -> DemonstrationQuerySet:
        """Demonstrations for prompts that `user` sees."""
        return self.live().filter(prompt__project__in=Project.objects.visible_to(user, *roles))

    def live(self) -> DemonstrationQuerySet:
        """Of live prompts, and not part of an import that is not committed."""
        committed = Q(imported=None) | Q(imported__committed_at__isnull=False)
        return self.filter(committed, prompt__in=Prompt.objects.live())


class Demonstration(models.Model):
    """A completion that a person wrote as the right answer."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waits for a review")
        ACCEPTED = "accepted", _("Accepted")
        EDITED = "edited", _("Accepted in another form")
        REFUSED = "refused", _("Refused")

    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="demonstrations")
    text = models.TextField()
    text_hash = models.CharField(max_length=64)
    labeler = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="demonstrations"
    )
    imported = models.ForeignKey(
        Import, on_delete=models.PROTECT, null=True, blank=True, related_name="demonstrations"
    )
    state = models.CharField(max_length=20, choices=State.choices, default=State.ACCEPTED)
    """Only accepted ones are trained on. What comes from a file is accepted."""
    reviewed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)
    edited_from = models.ForeignKey(
        Completion, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    """The completion that a labeler made it of while ranking."""
    reviewed_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="reviewed_forms"
    )
    """What a reviewer made it of."""
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DemonstrationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt", "text_hash"], name="demonstration_once"),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class WritingTask(models.Model):
    """One labeler's turn at writing the answer to a prompt; holds what is written so far.

    Belongs to the labeler and the prompt: what was typed comes back, whoever holds the prompt now.
    """

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        SENT = "sent", _("Sent")
        PASSED = "passed", _("Skipped")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="writing_tasks")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="writing_tasks")
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="writing_tasks")
    state = models.CharField(max_length=20, choices=State.choices, default=State.OPEN)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    """Until then nobody else is given the prompt."""
    text = models.TextField(blank=True)
    sequence = models.PositiveBigIntegerField(default=0)
    """An older tab's draft never overwrites a newer one."""
    seconds = models.FloatField(default=0.0)
    """Active."""
    reason = models.CharField(max_length=200, blank=True)
    """Why it was passed on."""
    demonstration = models.ForeignKey(
        Demonstration, on_delete=models.PROTECT, null=True, blank=True, related_name="tasks"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt", "labeler"], name="one_task_a_prompt"),
            models.UniqueConstraint(
                fields=["project", "labeler"],
                condition=Q(state="open"),
                name="one_open_writing_task",
            ),
        ]
        indexes = [models.Index(fields=["prompt", "state"], name="writing_by_prompt")]

    def __str__(self) -> str:
        return f"{self.labeler} writes for {self.prompt_id}"
