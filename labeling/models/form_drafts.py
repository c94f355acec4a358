"""Forms of free text while they are filled in."""

from __future__ import annotations

from django.db import models

from labeling.models.people import User
from labeling.models.prompts import Project


class FormDraft(models.Model):
    """A form as far as it is filled in. One of each kind for a labeler and project.

    Sent, it is empty and stays, so that what arrives late brings nothing back.
    """

    class Form(models.TextChoices):
        """Which form."""

        PROMPT = "prompt"
        """A prompt of one's own."""
        TURN = "turn"
        """What is said next in a conversation."""

    form = models.CharField(max_length=6, choices=Form)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="form_drafts")
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="form_drafts")
    sequence = models.PositiveBigIntegerField()
    """An older tab's draft never overwrites a newer one."""
    content = models.JSONField()
    """The form's fields, a list of [name, value]."""
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["form", "project", "labeler"], name="one_form_draft"),
        ]

    def __str__(self) -> str:
        return f"{self.form} draft of {self.labeler} in {self.project_id}"
