"""One recipe, run once: its queue place, its claim, what it reported."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models import Project, User
from training.models.datasets import Dataset
from training.models.rounds import Round
from training.models.visibility import ProjectRows


class RunQuerySet(ProjectRows["Run"]):
    """The vocabulary of runs."""

    def live(self) -> RunQuerySet:
        """Queued or running."""
        return self.filter(state__in=[Run.State.QUEUED, Run.State.RUNNING])


class Run(models.Model):
    """A process of the trainer. The row is the truth; a broker message is only a nudge."""

    class State(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    class Kind(models.TextChoices):
        SFT = "sft", _("Supervised fine-tuning")
        REWARD = "reward", _("Reward model")
        JUDGE = "judge", _("Judge")
        BEST_OF = "best_of", _("Check of the reward model")
        PPO = "ppo", _("PPO")
        GRPO = "grpo", _("GRPO")
        REJECTION = "rejection", _("Best of n, then fine-tuning")
        DPO = "dpo", _("DPO")
        EVALUATE = "evaluate", _("Evaluation")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="runs")
    round = models.ForeignKey(
        Round, on_delete=models.CASCADE, null=True, blank=True, related_name="runs"
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    state = models.CharField(max_length=20, choices=State.choices, default=State.QUEUED)
    config = models.JSONField()
    """Frozen at creation. Checkpoints and datasets stand in the relations, not as paths."""
    datasets = models.ManyToManyField(Dataset, related_name="runs")
    base = models.ForeignKey("training.Checkpoint", on_delete=models.PROTECT, related_name="+")
    start = models.ForeignKey(
        "training.Checkpoint", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    """The policy to start from. Evaluation: the candidate. None: the base."""
    deployed = models.ForeignKey(
        "training.Checkpoint", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reward = models.ForeignKey(
        "training.Checkpoint", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    judge = models.ForeignKey(
        "training.Checkpoint", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    repeats = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="repeated_by"
    )
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    attempt = models.PositiveIntegerField(default=0)
    """Fencing: every later write is conditional on it."""
    worker = models.CharField(max_length=200, blank=True)
    device = models.CharField(max_length=200, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    step = models.PositiveIntegerField(default=0)
    total_steps = models.PositiveIntegerField(null=True, blank=True)
    seconds_left = models.FloatField(null=True, blank=True)
    log_tail = models.TextField(blank=True)
    deaths = models.PositiveIntegerField(default=0)
    """How often its process ended without a result since it was queued or resumed."""
    error_code = models.CharField(max_length=40, blank=True)
    error_values = models.JSONField(default=dict, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["state", "id"],
                condition=Q(state__in=["queued", "running"]),
                name="run_queue",
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} ({self.kind}, {self.state})"


class RunMetric(models.Model):
    """One number of one step."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metrics")
    step = models.PositiveIntegerField()
    name = models.CharField(max_length=40)
    value = models.FloatField()

    class Meta:
        ordering = ["step"]
        constraints = [
            models.UniqueConstraint(fields=["run", "name", "step"], name="metric_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name}[{self.step}] = {self.value}"


class RunResult(models.Model):
    """One number of a finished run."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="results")
    name = models.CharField(max_length=40)
    value = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="result_once")]

    def __str__(self) -> str:
        return f"{self.name} = {self.value}"


class RunBreakdown(models.Model):
    """How often a reward model is right on a part of the pairs that its fit did not see."""

    class By(models.TextChoices):
        CERTAINTY = "certainty", _("By how sure it is")
        CATEGORY = "category", _("By category")
        LABELER = "labeler", _("By labeler")
        GAP = "gap", _("By how many ranks lie between")

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="breakdown")
    by = models.CharField(max_length=20, choices=By.choices)
    name = models.CharField(max_length=80)
    pairs = models.PositiveIntegerField()
    accuracy = models.FloatField()
    low = models.FloatField()
    high = models.FloatField()
    predicted = models.FloatField()
    """The mean probability of the order that it holds more likely."""

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["run", "by", "name"], name="breakdown_once"),
        ]

    def __str__(self) -> str:
        return f"{self.by} {self.name}: {self.accuracy:.3f} of {self.pairs}"


class RunSample(models.Model):
    """A completion to read while a run goes on: before and after, for the same prompt."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="samples")
    number = models.PositiveIntegerField()
    step = models.PositiveIntegerField()
    prompt = models.TextField()
    before = models.TextField(blank=True)
    after = models.TextField(blank=True)
    score = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="sample_once")]

    def __str__(self) -> str:
        return f"sample {self.number} of run {self.run_id}"


class Device(models.Model):
    """A CPU or GPU that one holder at a time uses, by a lease in the database."""

    name = models.CharField(max_length=200, unique=True)
    """machine:cpu or machine:cuda:0."""
    holder = models.CharField(max_length=200, blank=True)
    token = models.UUIDField(null=True, blank=True)
    renewed_at = models.DateTimeField(null=True, blank=True)
    wanted_at = models.DateTimeField(null=True, blank=True)
    """Sampling asks the holder to pause: labelers come first."""
    leased_at = models.DateTimeField(null=True, blank=True)
    """When the present holder got it."""
    sampler_seen_at = models.DateTimeField(null=True, blank=True)
    """When a sampler that would use this device last looked for work."""

    def __str__(self) -> str:
        return f"{self.name}: {self.holder or 'free'}"
