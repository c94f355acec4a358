"""A new policy beside the deployed one and the base."""

from __future__ import annotations

from django.db import models

from training.models.checkpoints import Checkpoint
from training.models.rounds import Round
from training.models.runs import Run
from training.models.visibility import ProjectRows


class EvaluationQuerySet(ProjectRows["Evaluation"]):
    """The vocabulary of evaluations."""

    to_project = "run__project"


class Evaluation(models.Model):
    """What an evaluation run found. Numbers by the judge; labelers' blind votes stand beside."""

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="evaluation")
    round = models.ForeignKey(
        Round, on_delete=models.CASCADE, null=True, blank=True, related_name="evaluations"
    )
    candidate = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="evaluations")
    deployed = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="+")
    look = models.PositiveIntegerField(default=1)
    prompts = models.PositiveIntegerField(default=0)
    win_rate = models.FloatField(null=True, blank=True)
    win_low = models.FloatField(null=True, blank=True)
    win_high = models.FloatField(null=True, blank=True)
    win_sure = models.FloatField(null=True, blank=True)
    """The lower end at the level of its look: what the gate asks. The others are of 95 %."""
    base_win_rate = models.FloatField(null=True, blank=True)
    base_win_low = models.FloatField(null=True, blank=True)
    base_win_high = models.FloatField(null=True, blank=True)
    kl = models.FloatField(null=True, blank=True)
    length = models.FloatField(null=True, blank=True)
    base_length = models.FloatField(null=True, blank=True)
    distinct2 = models.FloatField(null=True, blank=True)
    base_distinct2 = models.FloatField(null=True, blank=True)
    finished_share = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = EvaluationQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"evaluation of {self.candidate}"


class EvaluationText(models.Model):
    """The texts of one evaluation prompt, side by side."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="texts")
    prompt = models.ForeignKey("labeling.Prompt", on_delete=models.PROTECT, related_name="+")
    candidate = models.TextField(blank=True)
    deployed = models.TextField(blank=True, null=True)  # noqa: DJ001  # null: it is the base
    base = models.TextField(blank=True)
    candidate_score = models.FloatField(null=True, blank=True)
    deployed_score = models.FloatField(null=True, blank=True)
    base_score = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["evaluation", "prompt"], name="prompt_once_an_evaluation"
            ),
        ]

    def __str__(self) -> str:
        return f"texts for prompt {self.prompt_id}"
