"""What was written for a prompt, by whom, and what is still to be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext_lazy as _

from labeling.models.people import Role, User
from labeling.models.prompts import Project, Prompt

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


class Source(models.Model):
    """Who wrote a completion: a policy version, the base, an outside model, a person."""

    class Kind(models.TextChoices):
        BASE = "base", _("Base model")
        POLICY = "policy", _("Policy")
        OUTSIDE = "outside", _("Outside model")
        PERSON = "person", _("Person")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="sources")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="source_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class SampleRequest(models.Model):
    """Labeling's need of completions, stated as a row; whoever samples fulfils it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="sample_requests")
    k = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=20, choices=State.choices, default=State.WAITING)
    deadline = models.DateTimeField(null=True, blank=True)
    """Somebody waits for it: such requests come first."""
    error_code = models.CharField(max_length=40, blank=True)
    error_values = models.JSONField(default=dict, blank=True)
    """What the sentence of that code names: a path, a message."""
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["state", "deadline", "id"], name="sample_request_queue")]

    def __str__(self) -> str:
        return f"{self.k} for prompt {self.prompt_id} ({self.state})"


class CompletionQuerySet(models.QuerySet["Completion"]):
    """The vocabulary of completions."""

    def visible_to(self, user: User | AnonymousUser, *roles: Role | str) -> CompletionQuerySet:
        """Completions of prompts that `user` sees."""
        return self.filter(prompt__in=Prompt.objects.visible_to(user, *roles))


class Completion(models.Model):
    """A text written for a prompt; never changed once stored."""

    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="completions")
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="completions")
    request = models.ForeignKey(
        SampleRequest, on_delete=models.PROTECT, null=True, blank=True, related_name="completions"
    )
    """The need it was sampled for."""
    external_id = models.CharField(max_length=120)
    """The writer's own name for it: taking the same result in twice stores it once."""
    text = models.TextField(blank=True)
    finished = models.BooleanField(default=True)
    """False: cut at the token limit."""
    tokens = models.PositiveIntegerField(null=True, blank=True)
    sampling = models.JSONField(default=dict)
    """Temperature, token limit and seed it was sampled with."""
    labeler = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    edited_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="edits"
    )
    """The completion that a labeler made a better one of."""
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CompletionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "source", "external_id"], name="completion_once"
            ),
        ]

    def __str__(self) -> str:
        return self.text[:80]
