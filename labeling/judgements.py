"""What a labeler says of a slate, as one value: ranks, grades, flags, a comment, better versions.

Values in, values out: checked here, stored by `labeling.rankings`, kept under way by
`labeling.drafts`. Knows nothing of slots and leases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext_lazy as _

from labeling.completions import storable
from labeling.models import CompletionFlag, PromptFlag, Ranking
from labeling.refusals import Refusal

LONGEST_COMMENT = 10_000
"""Characters."""
LONGEST_EDIT = 100_000
BEST_LIKERT = 7


class BadJudgement(Refusal):
    """Something that can't be stored beside the ranks. `field`: what it is."""

    code = "bad_judgement"
    status = 400

    def __init__(self, field: str, sentence: Any, **values: object) -> None:
        """Keep the field's name."""
        self.field = field
        super().__init__(sentence, **values)


class BadRanks(BadJudgement):
    """Not a ranking of this slate's completions."""

    code = "bad_ranks"
    sentence = _("Give each completion a rank: 1 is best, equal ranks are ties.")

    def __init__(self) -> None:
        """It has one sentence."""
        super().__init__("ranks", None)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Keys are completion ids. A labeler may leave out all but the ranks."""

    ranks: Mapping[int, int] = field(default_factory=dict)
    """1 is best, equal ranks are ties."""
    likert: Mapping[int, int] = field(default_factory=dict)
    """Overall quality, 1 (worst) to 7."""
    flags: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """Of `CompletionFlag`; no entry where there is none."""
    edits: Mapping[int, str] = field(default_factory=dict)
    """A better version of a completion, as the labeler wrote it."""
    prompt_flags: frozenset[str] = frozenset()
    """Of `PromptFlag`."""
    none_good: bool = False
    comment: str = ""

    def to_json(self) -> dict[str, Any]:
        """For a draft; keys become texts."""
        return {
            "ranks": {str(pk): rank for pk, rank in self.ranks.items()},
            "likert": {str(pk): grade for pk, grade in self.likert.items()},
            "flags": {str(pk): sorted(flags) for pk, flags in self.flags.items()},
            "edits": {str(pk): text for pk, text in self.edits.items()},
            "prompt_flags": sorted(self.prompt_flags),
            "none_good": self.none_good,
            "comment": self.comment,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Judgement:
        """What `to_json` made; parts may be missing."""
        return cls(
            ranks={int(pk): rank for pk, rank in given.get("ranks", {}).items()},
            likert={int(pk): grade for pk, grade in given.get("likert", {}).items()},
            flags={int(pk): frozenset(flags) for pk, flags in given.get("flags", {}).items()},
            edits={int(pk): text for pk, text in given.get("edits", {}).items()},
            prompt_flags=frozenset(given.get("prompt_flags", [])),
            none_good=bool(given.get("none_good")),
            comment=str(given.get("comment", "")),
        )


def checked(judgement: Judgement, texts: Mapping[int, str], *, likert: bool = False) -> Judgement:
    """`judgement` as it is stored: ranks dense, what says nothing left out.

    texts: the slate's completions by id. likert: each needs a grade. An edit that is empty or says
    what the completion says is none. Raises BadRanks, BadJudgement.
    """
    ranks = dense_ranks(judgement.ranks, texts)
    strangers = {*judgement.likert, *judgement.flags, *judgement.edits} - set(texts)
    if strangers:
        raise BadJudgement("completions", _("That is not one of these completions."))
    if any(not _is_whole(grade, most=BEST_LIKERT) for grade in judgement.likert.values()):
        raise BadJudgement("likert", _("A grade is a whole number from 1 to 7."))
    if likert and set(judgement.likert) != set(texts):
        raise BadJudgement("likert", _("Give each completion a grade from 1 to 7."))
    _refuse_unknown("flags", judgement.flags.values(), CompletionFlag.values)
    _refuse_unknown("prompt_flags", [judgement.prompt_flags], PromptFlag.values)
    comment = storable(judgement.comment.strip())
    if len(comment) > LONGEST_COMMENT:
        raise BadJudgement(
            "comment", _("The comment is longer than %(most)s characters."), most=LONGEST_COMMENT
        )
    edits = {
        pk: storable(text)
        for pk, text in judgement.edits.items()
        if not says_nothing_new(text, texts[pk])
    }
    if any(len(text) > LONGEST_EDIT for text in edits.values()):
        raise BadJudgement(
            "edits", _("A better version is longer than %(most)s characters."), most=LONGEST_EDIT
        )
    flags = {pk: some for pk, some in judgement.flags.items() if some}
    return replace(judgement, ranks=ranks, flags=flags, edits=edits, comment=comment)


def says_nothing_new(edit: str, text: str) -> bool:
    """Whether a better version is empty or the completion's own text, as a form sends it back."""
    return not edit.strip() or _lines(edit) == _lines(text)


def _lines(text: str) -> str:
    """`text` with the line ends of a form, and without space around it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def dense_ranks(ranks: Mapping[int, int], completions: Iterable[int]) -> dict[int, int]:
    """`ranks` by completion id with gaps closed: 1, 3, 3 becomes 1, 2, 2.

    Raises BadRanks unless exactly these completions have a whole rank from 1.
    """
    if set(ranks) != set(completions):
        raise BadRanks
    if not all(_is_whole(rank) for rank in ranks.values()):
        raise BadRanks
    places = {rank: place for place, rank in enumerate(sorted(set(ranks.values())), 1)}
    return {completion: places[rank] for completion, rank in ranks.items()}


def _is_whole(value: object, *, most: int | None = None) -> bool:
    """A whole number from 1 (to `most`); True and 1.0 are none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return False
    return most is None or value <= most


def _refuse_unknown(field: str, given: Iterable[Iterable[str]], known: Iterable[str]) -> None:
    """Raise BadJudgement where a flag is not one of `known`."""
    unknown = sorted({flag for flags in given for flag in flags} - set(known))
    if unknown:
        raise BadJudgement(field, _("There is no flag “%(flag)s”."), flag=unknown[0][:40])


def judgement_of(ranking: Ranking) -> Judgement:
    """What was stored, as the labeler said it: edits are not among the ranks."""
    rows = list(ranking.ranks.select_related("completion").order_by("rank", "pk"))
    slate = set(ranking.slate.items.values_list("completion_id", flat=True))
    own = [row for row in rows if row.completion_id in slate]
    edits = {
        row.completion.edited_from_id: row.completion.text
        for row in rows
        if row.completion_id not in slate and row.completion.edited_from_id is not None
    }
    flags: dict[int, set[str]] = {}
    for completion, flag in ranking.completion_flags.values_list("completion_id", "flag"):
        flags.setdefault(completion, set()).add(flag)
    return Judgement(
        ranks=dense_ranks(
            {row.completion_id: row.rank for row in own}, [row.completion_id for row in own]
        ),
        likert={row.completion_id: row.likert for row in own if row.likert is not None},
        flags={completion: frozenset(some) for completion, some in flags.items()},
        edits=edits,
        prompt_flags=frozenset(ranking.prompt_flags.values_list("flag", flat=True)),
        none_good=ranking.none_good,
        comment=ranking.comment,
    )
