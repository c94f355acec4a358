"""Which policy answers, since when, and who said so."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models import Project, User
from training.models.checkpoints import Checkpoint
from training.models.evaluations import Evaluation
from training.models.visibility import ProjectRows


class DeploymentQuerySet(ProjectRows["Deployment"]):
    """The vocabulary of deployments."""

    def current(self) -> DeploymentQuerySet:
        """Those that nothing has replaced: one a project."""
        return self.filter(replaced_at=None)


class Deployment(models.Model):
    """History is kept: the current one is that which nothing has replaced."""

    class Kind(models.TextChoices):
        FIRST = "first", _("First")
        DEPLOY = "deploy", _("Deployed")
        ROLL_BACK = "roll_back", _("Rolled back")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="deployments")
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="deployments")
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.DEPLOY)
    evaluation = models.ForeignKey(
        Evaluation, on_delete=models.PROTECT, null=True, blank=True, related_name="deployments"
    )
    deployed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    """None: the gate was met and the project deploys by itself."""
    deployed_at = models.DateTimeField(auto_now_add=True)
    replaced_at = models.DateTimeField(null=True, blank=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(replaced_at__isnull=True),
                name="one_current_deployment",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.checkpoint} since {self.deployed_at:%Y-%m-%d %H:%M}"

    @property
    def policy_since(self) -> datetime | None:
        """Since when a chosen policy answers; None while it is the base that nobody chose."""
        return None if self.kind == self.Kind.FIRST else self.deployed_at
