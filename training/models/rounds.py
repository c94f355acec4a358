"""When a project trains, what must hold for a deployment, and each turn of the loop."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models import Project, User
from training.models.datasets import Dataset
from training.models.visibility import ProjectRows


class PlanQuerySet(ProjectRows["Plan"]):
    """The vocabulary of plans."""


class RoundQuerySet(ProjectRows["Round"]):
    """The vocabulary of rounds."""

    def unfinished(self) -> RoundQuerySet:
        """In progress, or stopped at a failed step: at most one a project."""
        return self.filter(state__in=[Round.State.OPEN, Round.State.STOPPED])


class Plan(models.Model):
    """A project's training rules, presets and gate."""

    class Preset(models.TextChoices):
        SMALL = "small", _("small: about a thousand rankings, one machine")
        PAPER = "paper", _("paper: InstructGPT's numbers")

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="plan")
    preset = models.CharField(
        _("preset"), max_length=20, choices=Preset.choices, default=Preset.SMALL
    )
    overrides = models.JSONField(_("changes to the preset"), default=dict, blank=True)
    """By recipe, for example {"ppo": {"episodes": 256}}; becomes the frozen config of a run."""
    after_rankings = models.PositiveIntegerField(
        _("train after this many new rankings"), null=True, blank=True, default=200
    )
    every_hours = models.PositiveIntegerField(
        _("train every this many hours"), null=True, blank=True
    )
    evaluation_prompts = models.PositiveIntegerField(
        _("evaluation prompts"), default=200, validators=[MinValueValidator(8)]
    )
    deploys_by_itself = models.BooleanField(
        _("deploy by itself where the gate is met"), default=True
    )
    kl_limit = models.FloatField(
        _("at most this many nats of KL to the base"),
        default=10.0,
        validators=[MinValueValidator(0.1)],
    )
    length_ratio = models.FloatField(
        _("length within this factor of the base's"),
        default=1.5,
        validators=[MinValueValidator(1.0)],
    )
    distinct_share = models.FloatField(
        _("distinct-2 at least this share of the base's"),
        default=0.85,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
    )
    blind_slates = models.PositiveIntegerField(
        _("evaluation prompts that labelers compare blindly"), default=0
    )
    blind_enough = models.PositiveIntegerField(
        _("blind comparisons after which labelers replace the judge"), default=50
    )

    objects = PlanQuerySet.as_manager()

    def __str__(self) -> str:
        return f"plan of {self.project}"


class Round(models.Model):
    """One turn of the loop. At most one is open per project."""

    class State(models.TextChoices):
        OPEN = "open", _("In progress")
        STOPPED = "stopped", _("Stopped at a failed step")
        WAITING = "waiting", _("Waits for a decision")
        DEPLOYED = "deployed", _("Deployed")
        REFUSED = "refused", _("Not deployed")
        NEEDS_RANKINGS = "needs_rankings", _("More rankings needed")
        CANCELLED = "cancelled", _("Cancelled")

    class Step(models.TextChoices):
        FREEZE = "freeze", _("Datasets")
        SFT = "sft", _("Supervised fine-tuning")
        REWARD = "reward", _("Reward model")
        JUDGE = "judge", _("Judge")
        BEST_OF = "best_of", _("Check of the reward model")
        PPO = "ppo", _("PPO")
        EVALUATE = "evaluate", _("Evaluation")
        DECIDE = "decide", _("Decision")

    class Trigger(models.TextChoices):
        RANKINGS = "rankings", _("new rankings")
        HOURS = "hours", _("the clock")
        HAND = "hand", _("a manager")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=State.choices, default=State.OPEN)
    step = models.CharField(max_length=20, choices=Step.choices)
    trigger = models.CharField(max_length=20, choices=Trigger.choices)
    started_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    rankings_at_start = models.PositiveIntegerField(default=0)
    """Current training rankings when the round began; the next one counts from here."""
    rankings_needed = models.PositiveIntegerField(null=True, blank=True)
    """How many more would probably be enough, where the round ended for want of them."""
    datasets = models.ManyToManyField(Dataset, related_name="rounds")
    """Frozen as the round's first step: every other one sees the same rows."""
    freeze_problem = models.CharField(max_length=400, blank=True)
    """Why they could not be frozen, the last time: "disk_full", or what the error says. Empty once
    they were."""
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = RoundQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="round_number_once"),
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(state__in=["open", "stopped"]),
                name="one_open_round",
            ),
        ]

    def __str__(self) -> str:
        return f"round {self.number} of {self.project}"

    @property
    def is_freezing(self) -> bool:
        """Whether its datasets are yet to be frozen, and nobody has cancelled it."""
        return self.state == Round.State.OPEN and self.step == Round.Step.FREEZE
