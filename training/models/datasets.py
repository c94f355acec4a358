"""Frozen datasets and the exact rows that made them."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from labeling.models import Decision, Demonstration, Project, Prompt, Ranking, Text, User
from training.models.visibility import ProjectRows


class DatasetQuerySet(ProjectRows["Dataset"]):
    """The vocabulary of frozen datasets."""

    def with_left_out(self) -> DatasetQuerySet:
        """Each with `left_out`: how much was left out since it counted nothing then."""
        rankings = DatasetRanking.objects.filter(dataset=OuterRef("pk"), weight=0)
        decisions = DatasetDecision.objects.filter(dataset=OuterRef("pk"), weight=0)
        rows = DatasetDemonstration.objects.filter(dataset=OuterRef("pk"), weight=0)
        return self.annotate(left_out=_counted(rankings) + _counted(decisions) + _counted(rows))


def _counted(rows: models.QuerySet[Any]) -> Coalesce:
    """How many rows of a dataset, as a subquery."""
    counts = rows.order_by().values("dataset").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counts, output_field=IntegerField()), 0)


class Dataset(models.Model):
    """Rows written once to JSONL. The same selection gives the same bytes."""

    class Kind(models.TextChoices):
        RANKINGS = "rankings", _("Rankings")
        DEMONSTRATIONS = "demonstrations", _("Demonstrations")
        PROMPTS = "prompts", _("Prompts")
        TEXTS = "texts", _("Texts")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="datasets")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    artifact = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    rows = models.PositiveIntegerField()
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    rankings = models.ManyToManyField(Ranking, through="DatasetRanking", related_name="datasets")
    decisions = models.ManyToManyField(Decision, through="DatasetDecision", related_name="datasets")
    demonstrations = models.ManyToManyField(
        Demonstration, through="DatasetDemonstration", related_name="datasets"
    )
    prompts = models.ManyToManyField(Prompt, related_name="datasets")
    texts = models.ManyToManyField(Text, related_name="datasets")

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} ({self.rows} rows)"


class DatasetRanking(models.Model):
    """A ranking in a dataset, with the weight it was given."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+")
    ranking = models.ForeignKey(Ranking, on_delete=models.PROTECT, related_name="+")
    weight = models.FloatField(default=1.0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "ranking"], name="ranking_once_a_dataset"),
        ]

    def __str__(self) -> str:
        return f"ranking {self.ranking_id} in dataset {self.dataset_id}"


class DatasetDecision(models.Model):
    """An adjudicator's decision in a dataset of rankings, with the weight it was given."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+")
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="+")
    weight = models.FloatField(default=1.0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "decision"], name="decision_once_a_dataset"),
        ]

    def __str__(self) -> str:
        return f"decision {self.decision_id} in dataset {self.dataset_id}"


class DatasetDemonstration(models.Model):
    """A demonstration in a dataset, with the weight it was given."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+")
    demonstration = models.ForeignKey(Demonstration, on_delete=models.PROTECT, related_name="+")
    weight = models.FloatField(default=1.0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "demonstration"], name="demonstration_once_a_dataset"
            ),
        ]

    def __str__(self) -> str:
        return f"demonstration {self.demonstration_id} in dataset {self.dataset_id}"
