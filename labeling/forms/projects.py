"""What a manager sets of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.models import Project
from labeling.projects import EDITABLE

if TYPE_CHECKING:
    Base = forms.ModelForm[Project]
else:
    Base = forms.ModelForm


class ProjectForm(Base):
    """The settings of a project; never saved by itself, the verbs do that."""

    class Meta:
        model = Project
        fields = EDITABLE
        widgets = {
            "guidelines": forms.Textarea(attrs={"rows": 8}),
            "base_model": forms.TextInput(attrs={"spellcheck": "false"}),
            "temperature": forms.NumberInput(attrs={"step": "0.05", "min": "0.05", "max": "5"}),
        }
        help_texts = {
            "guidelines": _("What makes one completion better than another. Labelers read this."),
            "k": _("2 to 9. Four is a good start: six comparisons for one reading."),
            "overlap": _("How many labelers rank the same completions: 2 or more shows agreement."),
            "temperature": _("1 samples as the model is; lower makes its answers more alike."),
            "max_new_tokens": _("Longer answers take longer to write, to read and to train on."),
        }
