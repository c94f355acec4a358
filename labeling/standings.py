"""How each labeler of a project stands: in practice or the quiz, at work, paused. For managers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from labeling import gold, screening
from labeling.models import Membership, Project, Role


class State(StrEnum):
    """What a labeler is at."""

    PAUSED = "paused"
    FAILED = "failed"
    PRACTICE = "practice"
    QUIZ = "quiz"
    ACCEPTED = "accepted"
    AT_WORK = "at work"
    """Nobody is screened here."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One labeler's."""

    membership: Membership
    progress: screening.Progress
    gold: gold.Window

    @property
    def state(self) -> State:
        """The one that matters most."""
        member, progress = self.membership, self.progress
        if member.paused_at is not None:
            return State.PAUSED
        if member.accepted_at is not None:
            return State.ACCEPTED
        if not member.project.practice_first:
            return State.AT_WORK
        if member.quiz_failed_at is not None:
            return State.FAILED
        if progress.practice_done < progress.practice:
            return State.PRACTICE
        return State.QUIZ if progress.quiz else State.AT_WORK

    @property
    def quiz_percent(self) -> int | None:
        """Of the quiz, so far."""
        return percent_of(self.progress.share)

    @property
    def gold_percent(self) -> int | None:
        """Of the gold items that are looked at."""
        return percent_of(self.gold.share)

    @property
    def waits(self) -> bool:
        """Whether a manager may accept: nobody has, and there is something to pass."""
        return self.state in (State.FAILED, State.PRACTICE, State.QUIZ)


def percent_of(share: float | None) -> int | None:
    """A share of 0 to 1 in whole percent, cut and not rounded up: 69.9 does not pass at 70."""
    return None if share is None else int(round(share * 100, 6))


def standings_in(project: Project, members: Iterable[Membership]) -> dict[int, Standing]:
    """By the membership's id, of those who are labelers; in a fixed number of queries."""
    labelers = [member for member in members if member.role == Role.LABELER]
    for member in labelers:
        member.project = project
    progress = screening.progress_in(project, labelers)
    windows = gold.windows_in(project, labelers)
    return {
        member.pk: Standing(
            membership=member, progress=progress[member.user_id], gold=windows[member.user_id]
        )
        for member in labelers
    }
