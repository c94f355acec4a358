"""A file of prompts, demonstrations or texts."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.models import Import


class ImportForm(forms.Form):
    """What is uploaded, and how it is written."""

    file = forms.FileField(
        label=_("File"),
        help_text=_("UTF-8. Up to 4 GiB; it is read line by line."),
        widget=forms.ClearableFileInput(attrs={"accept": ".jsonl,.ndjson,.csv,.tsv,.txt"}),
    )
    kind = forms.ChoiceField(
        label=_("What it holds"),
        choices=[
            (Import.Kind.PROMPTS, _("Prompts: the model will answer, people will rank")),
            (Import.Kind.DEMONSTRATIONS, _("Demonstrations: prompts with the right answer")),
            (Import.Kind.TEXTS, _("Texts: what the model shall not forget while it learns")),
        ],
        initial=Import.Kind.PROMPTS,
        widget=forms.RadioSelect,
    )
    format = forms.ChoiceField(
        label=_("Format"),
        required=False,
        choices=[
            ("", _("As the file's name ends")),
            ("jsonl", _("JSONL: one JSON object a line")),
            ("csv", _("CSV with a header line")),
            ("text", _("Plain text: a prompt a line, or texts parted by empty lines")),
        ],
    )
