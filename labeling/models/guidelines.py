"""What makes one completion better than another: each version of it stays."""

from __future__ import annotations

from django.db import models

from labeling.models.people import User


class Guidelines(models.Model):
    """One version of a project's guidelines, in Markdown. Never changed; the next is a new row."""

    project = models.ForeignKey(
        "labeling.Project", on_delete=models.CASCADE, related_name="guideline_versions"
    )
    version = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["project", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["project", "version"], name="version_once"),
        ]

    def __str__(self) -> str:
        return f"v{self.version}"


class GuidelinesRead(models.Model):
    """A person has had this version before their eyes."""

    guidelines = models.ForeignKey(Guidelines, on_delete=models.CASCADE, related_name="readings")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    read_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["guidelines", "user"], name="read_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} read {self.guidelines}"
