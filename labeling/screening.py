"""Practice and a quiz before a labeler's first real prompt: what comes next, and who passed.

Items have known answers (InstructGPT, appendix B.1). Each is given once, practice first; another
try at the quiz shows the same items as new slates. Reviewers and managers are never screened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from labeling.models import (
    SCREENING,
    Completion,
    Membership,
    Project,
    Purpose,
    Ranking,
    Role,
    Skip,
    Slate,
    User,
)
from labeling.models.slates import SlateQuerySet
from labeling.pauses import refuse_paused
from labeling.prepared import Given, Prepared
from labeling.refusals import Refusal
from labeling.slates import open_slate

GUESS = 0.5
"""What a skipped quiz item counts: as much as one whose completions are all tied."""
_LABELER = Prepared(
    lambda: Membership.objects.filter(
        project=Given("project"), user=Given("user"), role=Role.LABELER
    ).annotate(
        may_meet_items=Exists(
            Slate.objects.filter(
                project=OuterRef("project"), purpose__in=SCREENING, withdrawn_at=None
            )
        )
    )
)


class NotAccepted(Refusal):
    """The labeler did not pass the quiz."""

    code = "not_accepted"
    sentence = _(
        "You are through with the quiz, and a manager looks at it now. They will write to you "
        "about how to go on."
    )


class ItemsFirst(Refusal):
    """Practice and quiz items come before anything else."""

    code = "items_first"
    sentence = _("Practice and a short quiz come first: you find them under “Rank”.")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a labeler is. `left`: the items to come, the next one first."""

    practice: int
    practice_done: int
    quiz: int
    quiz_done: int
    left: tuple[Slate, ...]
    share: float | None
    """Mean right share of the quiz so far."""

    @property
    def number(self) -> int:
        """Of the next item, within its kind."""
        practising = self.practice_done < self.practice
        return 1 + (self.practice_done if practising else self.quiz_done)


@dataclass(frozen=True)
class _Answer:
    """A labeler's turn at an item, or at a slate that repeats it."""

    slate: int
    repeats: int | None
    at: datetime
    share: float | None


def items(project: Project) -> SlateQuerySet:
    """The practice and quiz items that are given out, in their order."""
    found = Slate.objects.items().live().filter(project=project, purpose__in=SCREENING)
    return found.order_by("purpose", "pk")  # "practice" before "quiz"


def labeler_in(*, project: Project, user: User) -> Membership | None:
    """The membership of a labeler; None for others, who are neither screened nor watched."""
    membership = _LABELER.first(project=project.pk, user=user.pk)
    if membership is not None:
        membership.project, membership.user = project, user
    return membership


def refuse_held_back(*, project: Project, user: User) -> None:
    """For work other than ranking. Raises Paused, NotAccepted, ItemsFirst."""
    membership = labeler_in(project=project, user=user)
    refuse_paused(membership)
    if is_screened(membership):
        raise ItemsFirst


def is_screened(membership: Membership | None) -> bool:
    """Whether this labeler (of `labeler_in`) gets practice and quiz items and nothing else now.

    Settles it first where no item is left. Raises NotAccepted.
    """
    if membership is None or membership.accepted_at or not membership.project.practice_first:
        return False
    if membership.quiz_failed_at is not None:
        raise NotAccepted
    if not vars(membership)["may_meet_items"]:
        return False
    progress = settle(membership=membership)
    if membership.quiz_failed_at is not None:
        raise NotAccepted
    return membership.accepted_at is None and progress.practice + progress.quiz > 0


def settle(*, membership: Membership) -> Progress:
    """Where no item is left: accepted, or not passed. Without quiz items practice is enough."""
    progress = progress_of(membership)
    if progress.left or not progress.practice + progress.quiz:
        return progress
    passed = progress.share is None or at_least(progress.share, membership.project.quiz_pass)
    change = {"accepted_at": Now()} if passed else {"quiz_failed_at": Now()}
    undecided = Membership.objects.filter(pk=membership.pk, accepted_at=None, quiz_failed_at=None)
    undecided.update(**change)
    membership.refresh_from_db(fields=["accepted_at", "quiz_failed_at"])
    return progress


def at_least(share: float, percent: int) -> bool:
    """Whether a share of 0 to 1 reaches so many percent."""
    return round(share * 100, 6) >= percent


def next_item(*, membership: Membership) -> Slate | None:
    """The slate to be given next: the item itself, or at another try a new one that repeats it."""
    left = progress_of(membership).left
    if not left:
        return None
    item, labeler = left[0], membership.user
    had = [
        answer
        for answer in _answers([membership]).get(labeler.pk, [])
        if item.pk in (answer.slate, answer.repeats)
    ]
    if not had:
        return item
    rows = item.items.select_related("completion")
    completions: list[Completion] = [row.completion for row in rows]
    return open_slate(
        prompt=item.prompt,
        completions=completions,
        purpose=item.purpose,
        overlap=0,
        batch=f"again:{item.pk}:{labeler.pk}:{len(had)}",
        repeats=item,
    )


def progress_of(membership: Membership) -> Progress:
    """How far one labeler is."""
    return progress_in(membership.project, [membership])[membership.user_id]


def progress_in(project: Project, memberships: Iterable[Membership]) -> dict[int, Progress]:
    """How far labelers of one project are, by the person's id, in three queries."""
    members = list(memberships)
    given = list(items(project).select_related("prompt__project"))
    answers = _answers(members)
    return {
        member.user_id: _progress(given, answers.get(member.user_id, []), member.quiz_since)
        for member in members
    }


def _progress(given: list[Slate], answers: list[_Answer], since: datetime | None) -> Progress:
    """Of one labeler. A quiz item that was done before `since` is to be done again."""
    ids = {item.pk for item in given}
    practised = {answer.slate for answer in answers}
    counted = {
        answer.slate if answer.slate in ids else answer.repeats: answer.share
        for answer in answers
        if since is None or answer.at > since
    }
    practice = [item for item in given if item.purpose == Purpose.PRACTICE]
    quiz = [item for item in given if item.purpose == Purpose.QUIZ]
    shares = [_counting(counted[item.pk]) for item in quiz if item.pk in counted]
    left = [item for item in practice if item.pk not in practised]
    left += [item for item in quiz if item.pk not in counted]
    return Progress(
        practice=len(practice),
        practice_done=sum(item.pk in practised for item in practice),
        quiz=len(quiz),
        quiz_done=len(shares),
        left=tuple(left),
        share=fmean(shares) if shares else None,
    )


def _counting(share: float | None) -> float:
    """What an item counts in the mean."""
    return GUESS if share is None else share


def _answers(members: list[Membership]) -> dict[int, list[_Answer]]:
    """What labelers of one project ranked or skipped of its practice and quiz, in that order."""
    found: dict[int, list[_Answer]] = {}
    which = {
        "labeler__in": [member.user_id for member in members],
        "slate__project__in": {member.project_id for member in members},
        "slate__purpose__in": SCREENING,
    }
    skipped = Skip.objects.filter(**which).order_by("pk")
    for labeler, slate, repeats, at in skipped.values_list(
        "labeler_id", "slate_id", "slate__repeats_id", "created_at"
    ):
        found.setdefault(labeler, []).append(_Answer(slate, repeats, at, None))
    ranked = Ranking.objects.current().filter(**which).order_by("assignment__completed_at", "pk")
    for labeler, slate, repeats, done, share in ranked.values_list(
        "labeler_id",
        "slate_id",
        "slate__repeats_id",
        "assignment__completed_at",
        "right_share",
    ):
        if done is not None:
            found.setdefault(labeler, []).append(_Answer(slate, repeats, done, share))
    return found


def accept(*, membership: Membership) -> None:
    """Let a labeler work, whatever the quiz says. Twice is once."""
    Membership.objects.filter(pk=membership.pk, accepted_at=None).update(accepted_at=Now())
    membership.refresh_from_db(fields=["accepted_at"])


def accept_all_at_work(*, project: Project) -> int:
    """Accept the labelers who have ranked real prompts before; how many that were."""
    ranked = Ranking.objects.filter(slate__project=project, slate__purpose=Purpose.TRAINING).values(
        "labeler"
    )
    waiting = Membership.objects.filter(
        project=project, role=Role.LABELER, accepted_at=None, user__in=ranked
    )
    return waiting.update(accepted_at=Now())


def give_another_try(*, membership: Membership) -> None:
    """The quiz begins anew for a labeler who did not pass; what was answered is kept."""
    Membership.objects.filter(pk=membership.pk, accepted_at=None).exclude(
        quiz_failed_at=None
    ).update(quiz_failed_at=None, quiz_since=Now())
    membership.refresh_from_db(fields=["quiz_failed_at", "quiz_since"])
