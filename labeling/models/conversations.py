"""A labeler talks with the deployed policy; each turn is ranked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from labeling.models.completions import Completion, SampleRequest
from labeling.models.people import Role, User
from labeling.models.prompts import Project, Prompt

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


class ConversationQuerySet(models.QuerySet["Conversation"]):
    """The vocabulary of conversations."""

    def visible_to(self, user: User | AnonymousUser, *roles: Role | str) -> ConversationQuerySet:
        """Conversations of projects that `user` sees."""
        return self.filter(project__in=Project.objects.visible_to(user, *roles))


class Conversation(models.Model):
    """One labeler's talk with the policy that was deployed at each of its turns."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="conversations")
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="conversations")
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "labeler"],
                condition=Q(closed_at=None),
                name="one_open_conversation",
            ),
        ]

    def __str__(self) -> str:
        return f"conversation {self.pk} of {self.labeler}"


class Turn(models.Model):
    """What the labeler said, and the completion with which the conversation went on."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="turns")
    number = models.PositiveSmallIntegerField()
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="+")
    """The whole context; ends with what the labeler said."""
    request = models.OneToOneField(
        SampleRequest, on_delete=models.PROTECT, null=True, blank=True, related_name="turn"
    )
    chosen = models.ForeignKey(
        Completion, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    """The best, or what the labeler made of it; None until it is ranked."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["conversation", "number"]
        constraints = [
            models.UniqueConstraint(fields=["conversation", "number"], name="turn_once"),
        ]

    def __str__(self) -> str:
        return f"turn {self.number} of conversation {self.conversation_id}"
