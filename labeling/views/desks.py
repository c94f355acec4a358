"""What the ranking page shows of a slate, be it ranked for the first time or anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from django.urls import reverse

from labeling import assignments, drafts
from labeling.forms.rankings import SkipForm
from labeling.hidden_numbers import Of, hidden
from labeling.judgements import BEST_LIKERT, Judgement, judgement_of, says_nothing_new
from labeling.models import (
    LIKE_TRAINING,
    Assignment,
    Completion,
    CompletionFlag,
    Conversation,
    Project,
    PromptFlag,
    Ranking,
    User,
)
from labeling.rankings import can_be_corrected

LETTERS = "ABCDEFGHI"
SHOWN_TURNS = 3
"""Earlier turns of a conversation are folded."""
DIGITS = "1234567890-"
"""The keys of a completion's flags."""
GRADES = range(1, BEST_LIKERT + 1)
SKIP_FORM = SkipForm()
"""Empty: one is as good as another."""


class Shown(NamedTuple):
    """A flag that can be set, with its key, and whether it is set."""

    flag: CompletionFlag | PromptFlag
    on: bool
    digit: str = ""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One slate on the ranking page, with what was said of it so far."""

    assignment: int
    """A hidden number, as those of the slate and of completions: see `labeling.hidden_numbers`."""
    slate: int
    labeler: int
    submit_url: str
    draft_url: str
    earlier: list[dict[str, str]]
    turns: list[dict[str, str]]
    items: list[dict[str, Any]]
    prompt_flags: tuple[Shown, ...]
    none_good: bool
    comment: str
    may_edit: bool
    sequence: int = 0
    """Of the draft that is shown; 0: none is."""
    seconds: float = 0.0
    """Active so far."""
    lease: str = ""
    """Empty where a ranking is corrected: no lease is needed."""
    renew_url: str = ""
    skip_url: str = ""
    """Empty where it can't be passed on to somebody else, nor be left for a break."""
    break_url: str = ""
    compare_url: str = ""
    closed: bool = False
    """To be read, not changed."""
    skip_form: SkipForm = SKIP_FORM

    @property
    def places(self) -> range:
        """The ranks there can be."""
        return range(1, len(self.items) + 1)

    @property
    def prompt_flags_set(self) -> bool:
        """Whether the prompt is flagged."""
        return any(one.on for one in self.prompt_flags)


def desk_of(assignment: Assignment, user: User, *, said: Judgement | None = None) -> Desk:
    """The desk of a slot that `user` holds. said: what a form sent (None: what the draft holds)."""
    draft = drafts.draft_of(slate=assignment.slate, labeler=user)
    seconds = 0.0 if draft is None else float(draft.content.get("seconds", 0.0))
    if said is None:
        said = Judgement() if draft is None else drafts.drafted(draft)
    where = [assignment.project.slug, assignment.pk]
    return Desk(
        **_shown(assignment, user, said),
        submit_url=reverse("submission", args=where),
        draft_url=reverse("draft", args=where),
        sequence=0 if draft is None else draft.sequence,
        seconds=seconds,
        lease=str(assignments.token_for(assignment, user)),
        renew_url=reverse("renew", args=where),
        skip_url=reverse("skip", args=where),
        break_url=reverse("break", args=where),
        compare_url=reverse("compare", args=where),
    )


def desk_in(conversation: Conversation, assignment: Assignment, *, said: Judgement | None) -> Desk:
    """The desk of a turn of `conversation`, to which a submission leads back. said: as above."""
    desk = desk_of(assignment, conversation.labeler, said=said)
    where = f"{desk.submit_url}?conversation={conversation.pk}"
    return replace(desk, submit_url=where, renew_url="", skip_url="", break_url="")


def correction_of(ranking: Ranking, user: User, *, said: Judgement | None = None) -> Desk:
    """The desk of a ranking to be corrected. said: as in `desk_of`; else what stands."""
    closed = not can_be_corrected(ranking)
    draft = None if closed else drafts.draft_of(slate=ranking.slate, labeler=user)
    if said is None:
        said = judgement_of(ranking) if draft is None else drafts.drafted(draft)
    assignment = ranking.assignment
    where = [assignment.project.slug, ranking.pk]
    return Desk(
        **_shown(assignment, user, said),
        submit_url=reverse("ranking", args=where),
        draft_url=reverse("correction-draft", args=where),
        sequence=0 if draft is None else draft.sequence,
        compare_url=reverse("compare", args=[assignment.project.slug, assignment.pk]),
        closed=closed,
    )


def _shown(assignment: Assignment, user: User, said: Judgement) -> dict[str, Any]:
    """The parts of a desk that come from the slate and the judgement."""
    project, slate = assignment.project, assignment.slate
    return {
        "assignment": hidden(Of.ASSIGNMENT, assignment.pk),
        "slate": hidden(Of.SLATE, slate.pk),
        "labeler": user.pk,
        "earlier": slate.prompt.messages[:-SHOWN_TURNS],
        "turns": slate.prompt.messages[-SHOWN_TURNS:],
        "items": [
            _item(letter, completion, said, project) for letter, completion in lettered(assignment)
        ],
        "prompt_flags": tuple(
            Shown(flag, flag.value in said.prompt_flags, digit)
            for digit, flag in zip(DIGITS, PromptFlag, strict=False)
        ),
        "none_good": said.none_good,
        "comment": said.comment,
        "may_edit": project.allows_edits and slate.purpose in LIKE_TRAINING,
    }


def in_letters(ranked: Iterable[tuple[int, str]]) -> str:
    """Ranks with letters as one line, best first: "B > A = D > C"."""
    places: dict[int, list[str]] = {}
    for rank, letter in ranked:
        places.setdefault(rank, []).append(letter)
    return " > ".join(" = ".join(sorted(places[rank])) for rank in sorted(places))


def lettered(assignment: Assignment) -> list[tuple[str, Completion]]:
    """The completions in the order shown, each with its letter."""
    return list(zip(LETTERS, assignments.shown(assignment), strict=False))


def _item(letter: str, completion: Completion, said: Judgement, project: Project) -> dict[str, Any]:
    """One completion, and what was said of it; a flag that is on is shown, offered or not."""
    on = said.flags.get(completion.pk, frozenset())
    edit = said.edits.get(completion.pk, "")
    offered = project.offered_flags
    listed = [flag for flag in CompletionFlag if flag in offered or flag.value in on]
    flags = tuple(
        Shown(flag, flag.value in on, digit) for digit, flag in zip(DIGITS, listed, strict=False)
    )
    return {
        "letter": letter,
        "number": hidden(Of.COMPLETION, completion.pk),
        "completion": completion,
        "rank": said.ranks.get(completion.pk),
        "likert": said.likert.get(completion.pk),
        "flags": flags,
        "flagged": sum(one.on for one in flags),
        "grades": GRADES if project.asks_likert else (),
        "edit": "" if says_nothing_new(edit, completion.text) else edit,
    }
