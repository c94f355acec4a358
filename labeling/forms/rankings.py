"""A ranking as a form sends it, and why a prompt is passed on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.whole_numbers import small_int

PREFIX = "rank-"
MOST_COMPLETIONS = 9


def ranks_in(data: Mapping[str, object]) -> dict[int, int]:
    """The ranks by completion id of the fields `rank-<id>` that hold a whole number.

    A field that holds something else counts as rank 0, and one whose name no completion can have as
    completion 0: no ranking accepts these.
    """
    return {
        small_int(name.removeprefix(PREFIX)) or 0: small_int(value, most=999) or 0
        for name, value in data.items()
        if name.startswith(PREFIX) and value != ""
    }


def seconds_in(data: Mapping[str, object], otherwise: float) -> float:
    """The active seconds that the page counted, or `otherwise` where scripts are off."""
    try:
        seconds = float(str(data.get("seconds", "")))
    except ValueError:
        return otherwise
    return seconds if math.isfinite(seconds) and seconds > 0 else otherwise


class DraftForm(forms.Form):
    """A ranking under way, as the page's script sends it."""

    sequence = forms.IntegerField(min_value=0, max_value=2**62)
    content = forms.CharField(max_length=10_000)

    def clean_content(self) -> dict[str, object]:
        """{"ranks": {"17": 1, …}, "seconds": 12.5}; what else is in it is left out."""
        try:
            given = json.loads(self.cleaned_data["content"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(_("must be JSON")) from error
        ranks = given.get("ranks") if isinstance(given, dict) else None
        if not isinstance(ranks, dict) or len(ranks) > MOST_COMPLETIONS:
            raise forms.ValidationError(_("must hold ranks by completion"))
        if not all(pk.isdecimal() and _is_rank(rank) for pk, rank in ranks.items()):
            raise forms.ValidationError(_("must hold whole ranks from 1 to 9"))
        return {"ranks": ranks, "seconds": seconds_in(given, otherwise=0.0)}


def _is_rank(value: object) -> bool:
    """A whole number from 1 to 9."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_COMPLETIONS


class SkipForm(forms.Form):
    """Why a prompt is passed on."""

    reason = forms.ChoiceField(
        label=_("Why"),
        required=False,
        choices=[
            ("", _("No reason given")),
            ("cannot judge", _("I can't judge this")),
            ("unclear prompt", _("The prompt makes no sense")),
            ("harmful", _("It is harmful or upsetting")),
            ("broken", _("The completions are broken")),
        ],
    )
