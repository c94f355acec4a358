"""A notice as a manager writes it."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.notices import LONGEST


class NoticeForm(forms.Form):
    """What everybody should know."""

    text = forms.CharField(
        label=_("Notice"),
        max_length=LONGEST,
        help_text=_("In Markdown. A sentence or two: it stands above the work until dismissed."),
        widget=forms.Textarea(attrs={"rows": 4}),
    )
