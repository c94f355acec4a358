"""Versions of what was trained, and what each grew from."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from labeling.models import Project, Source
from training.models.runs import Run
from training.models.visibility import ProjectRows


class CheckpointQuerySet(ProjectRows["Checkpoint"]):
    """The vocabulary of checkpoints."""

    def with_files(self) -> CheckpointQuerySet:
        """Those whose files are still there."""
        return self.filter(files_removed_at=None)


class Checkpoint(models.Model):
    """A base, a policy, a reward model or a judge. Rows outlive files."""

    class Kind(models.TextChoices):
        BASE = "base", _("Base")
        POLICY = "policy", _("Policy")
        REWARD = "reward", _("Reward model")
        JUDGE = "judge", _("Judge")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="checkpoints")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    version = models.PositiveIntegerField()
    run = models.OneToOneField(
        Run, on_delete=models.PROTECT, null=True, blank=True, related_name="checkpoint"
    )
    """None: a base that came from outside, found at `location`."""
    location = models.CharField(max_length=400, blank=True)
    artifact = models.CharField(max_length=200, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    source = models.OneToOneField(
        Source, on_delete=models.PROTECT, null=True, blank=True, related_name="checkpoint"
    )
    base = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="built_upon"
    )
    """The whole model that an adapter or head belongs to."""
    started_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="continued_by"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    files_removed_at = models.DateTimeField(null=True, blank=True)

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind", "version"], name="checkpoint_version_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.version}"
