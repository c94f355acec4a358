"""What a manager sets of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.models import CompletionFlag, Project
from labeling.projects import EDITABLE

if TYPE_CHECKING:
    Base = forms.ModelForm[Project]
else:
    Base = forms.ModelForm


class ProjectForm(Base):
    """The settings of a project; never saved by itself, the verbs do that."""

    guidelines = forms.CharField(
        label=_("Guidelines"),
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text=_(
            "What makes one completion better than another, in Markdown. Labelers read this before "
            "they begin, and again after each change."
        ),
    )
    completion_flags = forms.MultipleChoiceField(
        label=_("Flags on a completion"),
        required=False,
        choices=CompletionFlag.choices,
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = Project
        fields = EDITABLE
        widgets = {
            "base_model": forms.TextInput(attrs={"spellcheck": "false"}),
            "temperature": forms.NumberInput(attrs={"step": "0.05", "min": "0.05", "max": "5"}),
        }
        help_texts = {
            "k": _("2 to 9. Four is a good start: six comparisons for one reading."),
            "overlap": _("How many labelers rank the same completions: 2 or more shows agreement."),
            "temperature": _("1 samples as the model is; lower makes its answers more alike."),
            "max_new_tokens": _("Longer answers take longer to write, to read and to train on."),
            "allows_edits": _(
                "It ranks first, and becomes a demonstration once a reviewer says yes."
            ),
            "correction_hours": _("From the submission on; 0: rankings stand as they are sent."),
            "break_minutes": _("So long a prompt is kept for somebody who takes a break."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with what the project has."""
        super().__init__(*args, **kwargs)
        project = self.instance
        self.initial["guidelines"] = project.guidelines_text if project.pk else ""
        self.initial["completion_flags"] = project.completion_flags.split()

    def clean_completion_flags(self) -> str:
        """As the column has them."""
        return " ".join(self.cleaned_data["completion_flags"])

    def besides(self) -> list[forms.BoundField]:
        """What can be asked beside the ranks."""
        names = ("asks_likert", "asks_prompt_flags", "asks_comment", "allows_edits")
        return [self[name] for name in names]

    def pages(self) -> list[forms.BoundField]:
        """What labelers can do beside ranking."""
        return [
            self[name] for name in ("asks_demonstrations", "asks_prompts", "allows_conversations")
        ]

    def watching(self) -> list[forms.BoundField]:
        """How labelers are accepted, and how their work is looked at."""
        names = ("quiz_pass", "gold_percent", "gold_window", "gold_pass", "repeat_percent")
        return [self[name] for name in names]
