"""A judgement as a form sends it, and why a prompt is passed on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from labeling.completions import storable
from labeling.hidden_numbers import Of, revealed
from labeling.judgements import BEST_LIKERT, Judgement
from labeling.models import SKIP_REASONS, CompletionFlag, PromptFlag
from labeling.whole_numbers import small_int

MOST_RANKS = 9
MOST_ENTRIES = 400
"""Fields of a form with nine completions, each with every flag."""


def judgement_in(data: QueryDict) -> Judgement:
    """The fields of a ranking form: rank-<n>, likert-<n>, flag-<n>, edit-<n> and the slate's.

    n: a completion's hidden number. A rank or a grade that is no whole number counts as 0, and a
    name that no completion can have as completion 0: no judgement with these is accepted. An empty
    field says nothing.
    """
    grades = _by_completion(data, "likert-", _revealed)
    edits = _by_completion(data, "edit-", _revealed)
    return Judgement(
        ranks=_ranks(data, _revealed),
        likert={pk: small_int(value, most=999) or 0 for pk, value in grades.items()},
        flags={
            _revealed(name.removeprefix("flag-")): frozenset(map(_typed, data.getlist(name)))
            for name in data
            if name.startswith("flag-")
        },
        edits={pk: _typed(text) for pk, text in edits.items()},
        prompt_flags=frozenset(map(_typed, data.getlist("prompt_flag"))),
        none_good=bool(data.get("none_good")),
        comment=_typed(data.get("comment", "")),
    )


def _typed(text: str) -> str:
    """What a person typed, with plain line ends and nothing in it that can't be stored."""
    return storable(text.replace("\r\n", "\n"))


def decided_in(data: QueryDict) -> dict[int, int]:
    """Ranks by completion id, of forms for those who see ids: rank-<id>; as in `judgement_in`."""
    return _ranks(data, lambda text: small_int(text) or 0)


def _ranks(data: QueryDict, pk_of: Callable[[str], int]) -> dict[int, int]:
    """What the fields rank-… say."""
    ranks = _by_completion(data, "rank-", pk_of)
    return {pk: small_int(value, most=999) or 0 for pk, value in ranks.items()}


def _revealed(text: str) -> int:
    """The id of the completion with that hidden number; 0 where there can be none."""
    number = small_int(text)
    return 0 if number is None else revealed(Of.COMPLETION, number) or 0


def _by_completion(data: QueryDict, prefix: str, pk_of: Callable[[str], int]) -> dict[int, str]:
    """The fields that begin with `prefix` and are not empty, by completion id."""
    return {
        pk_of(name.removeprefix(prefix)): str(data[name])
        for name in data
        if name.startswith(prefix) and data[name] != ""
    }


def seconds_in(data: Mapping[str, object], otherwise: float) -> float:
    """The active seconds that the page counted, or `otherwise` where scripts are off."""
    try:
        seconds = float(str(data.get("seconds", "")))
    except ValueError:
        return otherwise
    return seconds if math.isfinite(seconds) and seconds > 0 else otherwise


class DraftForm(forms.Form):
    """A judgement under way, as the page's script sends it: the form's fields as [name, value]."""

    sequence = forms.IntegerField(min_value=0, max_value=2**62)
    based_on = forms.IntegerField(min_value=0, max_value=2**62, required=False)
    content = forms.CharField(max_length=1_000_000, strip=False)

    def clean_content(self) -> tuple[Judgement, float]:
        """What the fields say, and the active seconds so far; other fields are left out."""
        try:
            given = json.loads(self.cleaned_data["content"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(_("must be JSON")) from error
        if not isinstance(given, list) or len(given) > MOST_ENTRIES:
            raise forms.ValidationError(_("must be a list of fields"))
        fields = QueryDict(mutable=True)
        for entry in given:
            if not (isinstance(entry, list) and [type(part) for part in entry] == [str, str]):
                raise forms.ValidationError(_("must be a list of fields"))
            fields.appendlist(*entry)
        judgement = judgement_in(fields)
        if any(not 1 <= rank <= MOST_RANKS for rank in judgement.ranks.values()):
            raise forms.ValidationError(_("must hold whole ranks from 1 to 9"))
        if any(not 1 <= grade <= BEST_LIKERT for grade in judgement.likert.values()):
            raise forms.ValidationError(_("must hold grades from 1 to 7"))
        flags = {flag for some in judgement.flags.values() for flag in some}
        if flags - set(CompletionFlag.values) or judgement.prompt_flags - set(PromptFlag.values):
            raise forms.ValidationError(_("must hold known flags"))
        return judgement, seconds_in(fields, otherwise=0.0)


class SkipForm(forms.Form):
    """Why a prompt is passed on."""

    reason = forms.ChoiceField(
        label=_("Why"),
        required=False,
        choices=[("", _("No reason given")), *SKIP_REASONS],
    )
