"""Counts of a large project, kept so that no page has to read all of its rows."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from labeling.models.prompts import Project


class Tally(models.Model):
    """One count of a project at one moment; see labeling/tallies.py."""

    class Measure(models.TextChoices):
        PROMPTS = "prompts", _("Prompts by split")
        COMPLETIONS = "completions", _("Completions")
        DEMONSTRATIONS = "demonstrations", _("Demonstrations")
        RANKINGS = "rankings", _("Rankings that stand, by purpose")
        OPEN = "open", _("Open slots by category")
        DONE = "done", _("Slots that are done, by category")
        MARK = "mark", _("How far the rows went that were counted")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tallies")
    measure = models.CharField(max_length=20, choices=Measure.choices)
    key = models.CharField(max_length=60, blank=True)
    number = models.PositiveBigIntegerField(default=0)
    newest = models.DateTimeField(null=True, blank=True)
    """When the last of those that were counted came."""
    counted_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "measure", "key"], name="tallied_once"),
        ]

    def __str__(self) -> str:
        return f"{self.measure} {self.key}: {self.number}"
