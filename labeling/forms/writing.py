"""What labelers write: an answer with its draft, and a prompt of one of three kinds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from labeling.completions import storable
from labeling.form_drafts import MOST_SEQUENCE
from labeling.forms.rankings import seconds_in
from labeling.languages import choices as languages
from labeling.models import PASS_REASONS, Prompt
from labeling.prompt_writing import LEAST_EXAMPLES, MOST_EXAMPLES, Example, few_shot_text
from labeling.whole_numbers import small_int

MOST_SEEN = 20
FIELDS = ("kind", "category", "language", "system", "text", "instruction", "query")
"""Of the prompt form, beside its examples."""
TYPED = {"system", "text", "instruction", "query", "example_query", "example_response"}
MOST_FIELDS = len(FIELDS) + 1 + 2 * (MOST_EXAMPLES + 1)
REASONS = [
    ("", _("No reason given")),
    *PASS_REASONS,
]


def typed(text: object) -> str:
    """What a person typed, with plain line ends and nothing in it that can't be stored."""
    return storable(str(text).replace("\r\n", "\n"))


class AnswerDraftForm(forms.Form):
    """An answer under way, as the page's script sends it: the form's fields as [name, value]."""

    sequence = forms.IntegerField(min_value=0, max_value=2**62)
    based_on = forms.IntegerField(min_value=0, max_value=2**62, required=False)
    content = forms.CharField(max_length=1_000_000, strip=False)

    def clean_content(self) -> tuple[str, float]:
        """The text and the active seconds so far; other fields are left out."""
        try:
            fields = dict(json.loads(self.cleaned_data["content"]))
        except (ValueError, TypeError, RecursionError) as error:
            raise forms.ValidationError(_("must be a list of fields")) from error
        return typed(fields.get("text", "")), seconds_in(fields, otherwise=0.0)


class FieldsDraftForm(forms.Form):
    """A form under way, as the page's script sends it: its fields as [name, value]."""

    sequence = forms.IntegerField(min_value=0, max_value=MOST_SEQUENCE)
    based_on = forms.IntegerField(min_value=0, max_value=MOST_SEQUENCE, required=False)
    content = forms.CharField(max_length=4_000_000, strip=False)

    def clean_content(self) -> list[tuple[object, object]]:
        """(name, value) of each field, in the form's order."""
        try:
            return [(name, value) for name, value in json.loads(self.cleaned_data["content"])]
        except (ValueError, TypeError, RecursionError) as error:
            raise forms.ValidationError(_("must be a list of fields")) from error


def kept_of_prompt(pairs: Iterable[tuple[object, object]]) -> list[tuple[str, str]]:
    """Of (name, value) what a draft of a prompt keeps."""
    names = {*FIELDS, "seconds", "example_query", "example_response"}
    found = [(str(name), typed(value)) for name, value in pairs if str(name) in names]
    return found[:MOST_FIELDS]


def says_something(fields: Iterable[tuple[str, str]]) -> bool:
    """Whether somebody typed a text into the form, beside what was chosen in it."""
    return any(value.strip() for name, value in fields if name in TYPED)


def kept_of_turn(pairs: Iterable[tuple[object, object]]) -> list[tuple[str, str]]:
    """Of (name, value) what a draft of a conversation's next turn keeps."""
    return [("text", typed(value)) for name, value in pairs if name == "text"][:1]


class PassForm(forms.Form):
    """Why a prompt is passed on."""

    reason = forms.ChoiceField(label=_("Why"), required=False, choices=REASONS)


@dataclass(frozen=True, kw_only=True)
class WrittenPrompt:
    """The fields of the prompt form, as they were sent, to be stored or to be shown again."""

    kind: str = Prompt.Kind.PLAIN
    category: str = ""
    language: str = ""
    system: str = ""
    text: str = ""
    instruction: str = ""
    query: str = ""
    examples: Sequence[Example] = field(
        default_factory=lambda: [Example(query="", response="")] * LEAST_EXAMPLES
    )
    seen: Sequence[int] = ()
    """Near duplicates that were shown with it."""

    @property
    def whole_text(self) -> str:
        """The prompt. Raises PromptRefused where it is few-shot and lacks a part."""
        if self.kind != Prompt.Kind.FEW_SHOT:
            return self.text
        examples = [one for one in self.examples if one.query.strip() or one.response.strip()]
        return few_shot_text(instruction=self.instruction, examples=examples, query=self.query)


def written_prompt(data: QueryDict) -> WrittenPrompt:
    """What the form holds."""
    pairs = zip(data.getlist("example_query"), data.getlist("example_response"), strict=False)
    examples = [Example(query=typed(query), response=typed(answer)) for query, answer in pairs]
    missing = max(0, LEAST_EXAMPLES - len(examples))
    seen = [small_int(value) for value in data.getlist("seen")[:MOST_SEEN]]
    return WrittenPrompt(
        **{name: typed(data.get(name, "")) for name in FIELDS},
        examples=[*examples, *[Example(query="", response="")] * missing][: MOST_EXAMPLES + 1],
        seen=[number for number in seen if number is not None],
    )


def drafted_prompt(fields: Iterable[Sequence[str]]) -> WrittenPrompt:
    """What a draft holds; the empty form where it holds nothing."""
    data = QueryDict(mutable=True)
    for name, value in fields:
        data.appendlist(name, value)
    return written_prompt(data) if data else WrittenPrompt()


def language_choices() -> list[tuple[str, str]]:
    """For the form's list."""
    return [("", str(_("for everybody"))), *languages()]
