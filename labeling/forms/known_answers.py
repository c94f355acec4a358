"""Items with a known answer, made of what is there or pasted; how a labeler goes on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.decisions import LONGEST_EXPLANATION
from labeling.models import Completion, Purpose
from labeling.whole_numbers import small_int

PURPOSES = [
    (Purpose.PRACTICE, _("Practice: explained after it, before the quiz")),
    (Purpose.QUIZ, _("Quiz: passed before the first real prompt")),
    (Purpose.GOLD, _("Gold: mixed in unseen")),
]
LONGEST_PASTE = 2_000_000
"""Characters."""


class AnswerForm(forms.Form):
    """The right ranks of completions, and why. `purpose` only where an item is made."""

    purpose = forms.ChoiceField(
        label=_("Purpose"), choices=PURPOSES, initial=Purpose.GOLD, widget=forms.RadioSelect
    )
    explanation = forms.CharField(
        label=_("Why"),
        required=False,
        max_length=LONGEST_EXPLANATION,
        help_text=_("In Markdown. Labelers read it after a practice item."),
        widget=forms.Textarea(attrs={"rows": 5, "dir": "auto"}),
    )

    def __init__(
        self,
        *args: Any,
        completions: Iterable[Completion],
        right: dict[int, int] | None = None,
        makes: bool = True,
        **kwargs: Any,
    ) -> None:
        """completions: what can be ranked. right: the ranks so far. makes: an item is made."""
        super().__init__(*args, **kwargs)
        self.completions = list(completions)
        self.right = right or {}
        if not makes:
            del self.fields["purpose"]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Each completion with the rank that stands in its field."""
        return [
            {"completion": one, "rank": self._typed(one) if self.is_bound else self._known(one)}
            for one in self.completions
        ]

    def _typed(self, completion: Completion) -> str:
        return str(self.data.get(f"rank-{completion.pk}", ""))

    def _known(self, completion: Completion) -> str:
        return str(self.right.get(completion.pk, ""))

    @property
    def ranks(self) -> dict[int, int]:
        """The ranks typed, by completion id; what has none is left out, a wrong one is 0."""
        typed = {one.pk: self._typed(one).strip() for one in self.completions}
        return {pk: small_int(text, most=9) or 0 for pk, text in typed.items() if text}


class PasteForm(forms.Form):
    """Items as JSON Lines."""

    lines = forms.CharField(
        label=_("Items, one JSON object a line"),
        max_length=LONGEST_PASTE,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 12, "class": "mono", "spellcheck": "false"}),
    )


class StandingForm(forms.Form):
    """What a manager does of a labeler."""

    do = forms.ChoiceField(
        choices=[(word, word) for word in ("accept", "again", "pause", "resume")]
    )
    note = forms.CharField(required=False, max_length=400)
