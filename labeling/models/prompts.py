"""Projects, what they ask, and the files that prompts came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, Expression, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from labeling.models.flags import CompletionFlag
from labeling.models.guidelines import Guidelines
from labeling.models.people import Membership, Role, User

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


FIRST_FLAGS = "fails-task hallucination not-for-customers harmful-advice"
"""Of `CompletionFlag`, what a new project offers: few enough to be read at a glance."""


class ProjectQuerySet(models.QuerySet["Project"]):
    """Which projects a person sees, and in which role."""

    def visible_to(self, user: User | AnonymousUser, *roles: Role | str) -> ProjectQuerySet:
        """Projects in which `user` has one of `roles` (any role where none is named)."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self if user.is_superuser else self.of_member(user, *roles)

    def of_member(self, user: User | Expression, *roles: Role | str) -> ProjectQuerySet:
        """Projects of which `user` is a member, with one of `roles` (any where none is named)."""
        memberships = Membership.objects.filter(project=OuterRef("pk"), user=user)
        if roles:
            memberships = memberships.filter(role__in=roles)
        return self.filter(Exists(memberships))

    def open(self) -> ProjectQuerySet:
        """Projects that are not archived."""
        return self.filter(archived_at=None)


class Project(models.Model):
    """A team's work on one model: its prompts, its guidelines, how it samples."""

    name = models.CharField(_("name"), max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    guidelines = models.ForeignKey(
        Guidelines, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    """The version in force; None before the first."""
    k = models.PositiveSmallIntegerField(
        _("completions per prompt"),
        default=4,
        validators=[MinValueValidator(2), MaxValueValidator(9)],
    )
    overlap = models.PositiveSmallIntegerField(
        _("labelers per prompt"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
    )
    base_model = models.CharField(
        _("base model"),
        max_length=400,
        blank=True,
        help_text=_("A model folder or a hub name; empty: the default model."),
    )
    max_new_tokens = models.PositiveIntegerField(
        _("longest completion, in tokens"),
        default=64,
        validators=[MinValueValidator(1), MaxValueValidator(4096)],
    )
    temperature = models.FloatField(
        _("temperature"),
        default=1.0,
        validators=[MinValueValidator(0.05), MaxValueValidator(5.0)],
    )
    slates_ahead = models.PositiveIntegerField(
        _("prompts kept ready"),
        default=24,
        validators=[MinValueValidator(1), MaxValueValidator(10_000)],
        help_text=_("Completions are sampled ahead of the labelers up to this many prompts."),
    )
    completion_flags = models.CharField(
        _("flags on a completion"), max_length=400, blank=True, default=FIRST_FLAGS
    )
    """Those of `CompletionFlag` that labelers are offered, separated by spaces."""
    asks_likert = models.BooleanField(_("a grade from 1 to 7 for each completion"), default=False)
    asks_prompt_flags = models.BooleanField(_("flags on the prompt"), default=True)
    asks_comment = models.BooleanField(_("a comment"), default=True)
    allows_edits = models.BooleanField(_("a better version of a completion"), default=True)
    correction_hours = models.PositiveSmallIntegerField(
        _("hours in which a ranking can be corrected"),
        default=24,
        validators=[MaxValueValidator(24 * 365)],
    )
    break_minutes = models.PositiveSmallIntegerField(
        _("longest break, in minutes"),
        default=30,
        validators=[MinValueValidator(1), MaxValueValidator(480)],
    )
    most_overlap = models.PositiveSmallIntegerField(
        _("most labelers per prompt"),
        default=0,
        validators=[MaxValueValidator(20)],
        help_text=_("Where those so far disagree, one more is asked, up to this many; 0: never."),
    )
    asks_demonstrations = models.BooleanField(_("labelers write demonstrations"), default=False)
    asks_prompts = models.BooleanField(_("labelers write prompts"), default=False)
    allows_conversations = models.BooleanField(
        _("labelers talk with the deployed policy"), default=False
    )
    practice_first = models.BooleanField(
        _("practice and quiz before the first real prompt"),
        default=True,
        help_text=_("As soon as the project has practice or quiz items."),
    )
    quiz_pass = models.PositiveSmallIntegerField(
        _("pass mark of the quiz, in percent"), default=70, validators=[MaxValueValidator(100)]
    )
    gold_percent = models.PositiveSmallIntegerField(
        _("gold items, in percent"),
        default=0,
        validators=[MaxValueValidator(50)],
        help_text=_("So many of a labeler's prompts have a known answer; they look like any."),
    )
    gold_window = models.PositiveSmallIntegerField(
        _("gold items looked at"),
        default=10,
        validators=[MinValueValidator(3), MaxValueValidator(200)],
    )
    gold_pass = models.PositiveSmallIntegerField(
        _("line for gold items, in percent"),
        default=60,
        validators=[MaxValueValidator(100)],
        help_text=_("Whoever is below it over the last gold items is paused; 0: nobody."),
    )
    repeat_percent = models.PositiveSmallIntegerField(
        _("repeats of a labeler's own work, in percent"),
        default=0,
        validators=[MaxValueValidator(50)],
    )
    rest_minutes = models.PositiveSmallIntegerField(
        _("reminder to rest, after so many minutes of work"),
        default=50,
        validators=[MaxValueValidator(480)],
        help_text=_("0: none."),
    )
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(k__gte=2, k__lte=9), name="k_is_2_to_9"),
            models.CheckConstraint(condition=Q(overlap__gte=1), name="overlap_is_positive"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_adaptive(self) -> bool:
        """Whether slates can get more slots than they were made with (`labeling.overlap`)."""
        return self.most_overlap > self.overlap

    @property
    def offered_flags(self) -> list[CompletionFlag]:
        """What labelers can flag a completion with, in the order of the choices."""
        names = self.completion_flags.split()
        return [flag for flag in CompletionFlag if flag in names]

    @property
    def guidelines_text(self) -> str:
        """The guidelines in force, in Markdown; empty where there are none."""
        return self.guidelines.text if self.guidelines else ""


class Import(models.Model):
    """An uploaded file. What it brought is invisible until `committed_at` is set."""

    class Kind(models.TextChoices):
        PROMPTS = "prompts", _("Prompts")
        DEMONSTRATIONS = "demonstrations", _("Demonstrations")
        TEXTS = "texts", _("Texts")

    class State(models.TextChoices):
        RUNNING = "running", _("Running")
        COMMITTED = "committed", _("Done")
        REFUSED = "refused", _("Refused")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.PROMPTS)
    format = models.CharField(max_length=20)
    file_name = models.CharField(max_length=255)
    state = models.CharField(max_length=20, choices=State.choices, default=State.RUNNING)
    rows = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)
    near_duplicates = models.PositiveIntegerField(default=0)
    """Prompts of the file that say nearly the same as another one; they are in all the same."""
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    renewed_at = models.DateTimeField(auto_now_add=True)
    """Last sign of life while running; one that stays silent was interrupted and is undone."""
    committed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project"], condition=Q(state="running"), name="one_running_import"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.file_name} ({self.state})"

    @property
    def unused_fields(self) -> list[str]:
        """Fields of a file that was taken in of which nothing was made."""
        committed = self.state == Import.State.COMMITTED
        return [problem.field for problem in self.problems.all()] if committed else []


class ImportProblem(models.Model):
    """One line that could not be taken, and what would be right.

    In a file that was taken in: a field that was not used, at the line that had it first.
    """

    imported = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="problems")
    line = models.PositiveIntegerField()
    field = models.CharField(max_length=60, blank=True)
    message = models.CharField(max_length=500)

    class Meta:
        ordering = ["line", "pk"]

    def __str__(self) -> str:
        return f"{self.line}: {self.message}"


class Split(models.TextChoices):
    """What a prompt serves for, for life (design: a split is for life)."""

    TRAIN = "train", _("Training")
    JUDGE = "judge", _("Judge")
    RM_TEST = "rm_test", _("Reward model test")
    EVALUATION = "evaluation", _("Evaluation")


class PromptQuerySet(models.QuerySet["Prompt"]):
    """The vocabulary of prompts."""

    def visible_to(self, user: User | AnonymousUser, *roles: Role | str) -> PromptQuerySet:
        """Live prompts of projects that `user` sees."""
        return self.live().filter(project__in=Project.objects.visible_to(user, *roles))

    def live(self) -> PromptQuerySet:
        """Neither withdrawn nor part of an import that is not committed."""
        committed = Q(imported=None) | Q(imported__committed_at__isnull=False)
        return self.filter(committed, withdrawn_at=None)


class Prompt(models.Model):
    """An immutable conversation that ends with the user's turn."""

    class Kind(models.TextChoices):
        """What labelers were asked for (InstructGPT, appendix A)."""

        PLAIN = "plain", _("Plain: any task, as different as possible")
        FEW_SHOT = "few-shot", _("Few-shot: an instruction with examples of it")
        USER_BASED = "user-based", _("User-based: what a user of the product would ask")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    messages = models.JSONField()
    """A list of {"role", "content"}; never changed once stored."""
    content_hash = models.CharField(max_length=64)
    group = models.CharField(max_length=120, blank=True)
    """Template or near-duplicate group; prompts of one group share a split."""
    split = models.CharField(max_length=20, choices=Split.choices)
    category = models.CharField(max_length=60, blank=True)
    language = models.CharField(max_length=12, blank=True)
    """As in BCP 47, for example "zh-Hans"; empty: for everybody."""
    kind = models.CharField(max_length=20, choices=Kind.choices, blank=True)
    """How a labeler wrote it; empty where it came from elsewhere."""
    near_1 = models.BigIntegerField(null=True, editable=False)
    near_2 = models.BigIntegerField(null=True, editable=False)
    near_3 = models.BigIntegerField(null=True, editable=False)
    """By these near duplicates find each other (labeling/near_keys.py)."""
    priority = models.IntegerField(default=0)
    shuffle = models.PositiveIntegerField()
    """A hash of the text: the order in which prompts are taken up."""
    parent_completion = models.ForeignKey(
        "labeling.Completion", on_delete=models.PROTECT, null=True, blank=True, related_name="turns"
    )
    imported = models.ForeignKey(
        Import, on_delete=models.PROTECT, null=True, blank=True, related_name="prompts"
    )
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = PromptQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "content_hash"], name="prompt_once"),
        ]
        indexes = [
            models.Index(fields=["project", "split", "-priority", "shuffle"], name="prompt_queue"),
            models.Index(fields=["project", "near_1"], name="prompt_near_1"),
            models.Index(fields=["project", "near_2"], name="prompt_near_2"),
            models.Index(fields=["project", "near_3"], name="prompt_near_3"),
        ]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def text(self) -> str:
        """The last user turn."""
        return str(self.messages[-1]["content"]) if self.messages else ""


class ImportNear(models.Model):
    """One of the first pairs of an import's prompt and another one that say nearly the same."""

    imported = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="near")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="+")
    beside = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="+")
    """The one that was there before, or stands earlier in the file."""
    percent = models.FloatField()
    """Equal letters."""

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.prompt_id} like {self.beside_id}: {self.percent:.0f} %"
