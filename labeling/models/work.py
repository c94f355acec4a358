"""How much people did, kept as they do it, and how much they are asked to do."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.people import User
from labeling.models.prompts import Project


class WorkDay(models.Model):
    """What one person did on one day in one category; written with the work itself."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="work_days")
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="work_days")
    day = models.DateField()
    """In the installation's time zone."""
    category = models.CharField(max_length=60, blank=True)
    rankings = models.PositiveIntegerField(default=0)
    """First submissions, of every purpose."""
    corrections = models.PositiveIntegerField(default=0)
    demonstrations = models.PositiveIntegerField(default=0)
    prompts = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    """Active."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "labeler", "day", "category"], name="one_work_day"
            ),
        ]
        indexes = [models.Index(fields=["project", "day"], name="work_by_day")]

    def __str__(self) -> str:
        return f"{self.labeler} on {self.day}"


class Quota(models.Model):
    """At most so many rankings: of a labeler, of a category, or of both; in a day, week, ever."""

    class Period(models.TextChoices):
        DAY = "day", _("a day")
        WEEK = "week", _("a week")
        EVER = "ever", _("in all")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="quotas")
    labeler = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="quotas"
    )
    """None: each labeler, or all together (see `shared`)."""
    category = models.CharField(_("category"), max_length=60, blank=True)
    """Empty: any."""
    shared = models.BooleanField(default=False)
    """Counts what all labelers did together."""
    period = models.CharField(max_length=10, choices=Period.choices, default=Period.DAY)
    most = models.PositiveIntegerField(_("at most"))

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(shared=False) | Q(labeler=None), name="shared_quota_has_no_labeler"
            ),
        ]

    def __str__(self) -> str:
        return f"at most {self.most} {self.period}"


class Notice(models.Model):
    """A word of a manager to everybody who works in a project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="notices")
    text = models.TextField(_("notice"))
    """Markdown."""
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.text[:80]


class NoticeSeen(models.Model):
    """A person has put a notice away."""

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="seen")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    seen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["notice", "user"], name="seen_once")]

    def __str__(self) -> str:
        return f"{self.user} saw notice {self.notice_id}"
