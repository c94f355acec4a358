"""How good the labels are: figures worked out in the background, and what follows from them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.people import User
from labeling.models.prompts import Project
from labeling.models.slates import Slate


class QualityReport(models.Model):
    """All figures of a project up to one ranking. The newest that is done is shown."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="quality_reports")
    up_to = models.PositiveBigIntegerField(default=0)
    """The id of the last ranking that is in it."""
    rankings = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    begun_at = models.DateTimeField(null=True, blank=True)
    """When a worker took it up; one that never finishes is taken up again after a while."""
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project"], condition=Q(done_at=None), name="one_report_under_way"
            ),
        ]
        indexes = [models.Index(fields=["project", "-id"], name="quality_newest")]

    def __str__(self) -> str:
        return f"quality of {self.project} up to ranking {self.up_to}"


class QualityFigure(models.Model):
    """One number, of one subject, with its interval and what it rests on."""

    class Measure(models.TextChoices):
        AGREEMENT = "agreement", _("Agreement on pairs")
        CHANCE = "chance", _("Agreement expected by chance")
        ALPHA = "alpha", _("Krippendorff's alpha")
        SECONDS_P10 = "seconds-p10", _("Seconds per ranking, 10th percentile")
        SECONDS_P50 = "seconds-p50", _("Seconds per ranking, median")
        SECONDS_P90 = "seconds-p90", _("Seconds per ranking, 90th percentile")
        TOO_FAST = "too-fast", _("Faster than can be read")
        FIRST_POSITION = "first-position", _("The completion shown first wins")
        LONGER = "longer", _("The longer completion wins")
        GOLD = "gold", _("Right on gold items")
        REPEATS = "repeats", _("Same as before on repeats")
        RELIABILITY = "reliability", _("Estimated reliability")
        DRIFT = "drift", _("Change of agreement over time")

    report = models.ForeignKey(QualityReport, on_delete=models.CASCADE, related_name="figures")
    measure = models.CharField(max_length=20, choices=Measure.choices)
    category = models.CharField(max_length=60, blank=True)
    labeler = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    other = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    """Of a pair of labelers."""
    week = models.DateField(null=True, blank=True)
    """Its Monday, of a figure over time."""
    value = models.FloatField()
    low = models.FloatField(null=True, blank=True)
    high = models.FloatField(null=True, blank=True)
    """A 95 % interval."""
    count = models.PositiveIntegerField(default=0)
    """Pairs, rankings or items that it rests on."""
    reference = models.FloatField(null=True, blank=True)
    """Of a labeler's figure: what is usual among the others."""
    stands_out = models.BooleanField(default=False)
    """It lies beyond what is usual by more than chance, all figures looked at considered."""

    class Meta:
        indexes = [models.Index(fields=["report", "measure"], name="figure_by_measure")]

    def __str__(self) -> str:
        return f"{self.measure}: {self.value:.3f}"


class Dispute(models.Model):
    """A slate that labelers ranked most differently, as a report found it."""

    report = models.ForeignKey(QualityReport, on_delete=models.CASCADE, related_name="disputes")
    slate = models.ForeignKey(Slate, on_delete=models.CASCADE, related_name="disputes")
    apart = models.FloatField()
    """On how many of its pairs two labelers differ, 0 to 1; a tie against an order: one half."""
    rankings = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["report", "slate"], name="disputed_once_a_report"),
        ]
        indexes = [models.Index(fields=["report", "-apart"], name="most_disputed")]

    def __str__(self) -> str:
        return f"slate {self.slate_id}: {self.apart:.2f} apart"

    @property
    def percent(self) -> int:
        """Of its pairs, in dispute."""
        return round(self.apart * 100)


class LabelerWeight(models.Model):
    """How much a labeler's rankings count in training, from 0 (not at all) to 1. Append-only."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="labeler_weights")
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="weights")
    weight = models.FloatField()
    reason = models.CharField(_("reason"), max_length=400, blank=True)
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    is_current = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "labeler"],
                condition=Q(is_current=True),
                name="one_current_weight",
            ),
            models.CheckConstraint(
                condition=Q(weight__gte=0, weight__lte=1), name="weight_is_a_share"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.labeler}: {self.weight:g}"
