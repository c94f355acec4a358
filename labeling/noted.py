"""What labelers noted beside their ranks: flags, comments, and which prompts they passed on.

Reads only. What follows from it, people decide.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet

from labeling.models import (
    PASS_REASONS,
    SKIP_REASONS,
    CompletionFlag,
    FlaggedCompletion,
    FlaggedPrompt,
    Project,
    Prompt,
    PromptFlag,
    Ranking,
    Skip,
    User,
    WritingTask,
)

FLAGGED, COMMENTED, SKIPPED, SKIPPED_OFTEN = "flagged", "commented", "skipped", "skipped-often"
OFTEN = 2
"""As many people who pass on a prompt don't do it for want of time."""


@dataclass
class Notes:
    """Of one prompt: how many people passed on it, and how often each flag on it was given."""

    skips: int = 0
    flags: Counter[str] = field(default_factory=Counter)

    @property
    def labels(self) -> list[tuple[str, int]]:
        """The flags by their names, the most frequent first."""
        return [(str(PromptFlag(flag).label), count) for flag, count in self.flags.most_common()]


def noted_prompts(prompts: QuerySet[Prompt], what: str) -> QuerySet[Prompt]:
    """Those of `prompts` of which somebody noted `what`: a flag's value, or one of the words above.

    Anything else filters nothing.
    """
    rankings = Ranking.objects.current().filter(slate__prompt=OuterRef("pk"))
    skips = Skip.objects.filter(slate__prompt=OuterRef("pk"))
    if what == SKIPPED:
        return prompts.filter(Exists(skips))
    if what == SKIPPED_OFTEN:
        people = skips.values("slate__prompt").annotate(people=Count("labeler", distinct=True))
        return prompts.filter(Exists(people.filter(people__gte=OFTEN)))
    wanted = {FLAGGED: Q(prompt_flags__isnull=False), COMMENTED: ~Q(comment="")}
    wanted |= {flag: Q(prompt_flags__flag=flag) for flag in PromptFlag.values}
    wanted |= {flag: Q(completion_flags__flag=flag) for flag in CompletionFlag.values}
    return prompts.filter(Exists(rankings.filter(wanted[what]))) if what in wanted else prompts


def notes_of(prompts: Iterable[Prompt]) -> Mapping[int, Notes]:
    """By the prompt's id; of every other one nothing was noted."""
    found: defaultdict[int, Notes] = defaultdict(Notes)
    ids = [prompt.pk for prompt in prompts]
    skips = Skip.objects.filter(slate__prompt__in=ids).values("slate__prompt")
    for prompt, people in skips.annotate(n=Count("labeler", distinct=True)).values_list(
        "slate__prompt", "n"
    ):
        found[prompt].skips = people
    flags = FlaggedPrompt.objects.filter(
        ranking__is_current=True, ranking__slate__prompt__in=ids
    ).values("ranking__slate__prompt", "flag")
    for prompt, flag, count in flags.annotate(n=Count("pk")).values_list(
        "ranking__slate__prompt", "flag", "n"
    ):
        found[prompt].flags[flag] = count
    return found


def rankings_with_notes(prompt: Prompt) -> list[Ranking]:
    """What stands of a prompt's rankings and says more than ranks, newest first, flags loaded."""
    flags = Prefetch("completion_flags", FlaggedCompletion.objects.select_related("completion"))
    rows = (
        Ranking.objects.current()
        .filter(slate__prompt=prompt)
        .filter(~Q(comment="") | Q(prompt_flags__isnull=False) | Q(completion_flags__isnull=False))
    )
    return list(
        rows.distinct()
        .select_related("labeler")
        .prefetch_related("prompt_flags", flags)
        .order_by("-pk")
    )


@dataclass(frozen=True)
class PassedOn:
    """Somebody would not rank a slate of a prompt, or not answer it."""

    labeler: User
    when: datetime
    reason: str
    """As it is read by people; empty where none was given."""
    writing: bool = False


def passed_on(prompt: Prompt) -> list[PassedOn]:
    """Who passed on a prompt, and why, newest first."""
    skips = Skip.objects.filter(slate__prompt=prompt).select_related("labeler")
    unwritten = WritingTask.objects.filter(prompt=prompt, state=WritingTask.State.PASSED)
    unwritten = unwritten.exclude(reason="withdrawn").select_related("labeler")
    ranking, writing = dict(SKIP_REASONS), dict(PASS_REASONS)
    found = [
        PassedOn(skip.labeler, skip.created_at, str(ranking.get(skip.reason, skip.reason)))
        for skip in skips
    ]
    found += [
        PassedOn(task.labeler, task.created_at, str(writing.get(task.reason, task.reason)), True)
        for task in unwritten
    ]
    return sorted(found, key=lambda one: one.when, reverse=True)


def skips_by_labeler(project: Project) -> dict[int, int]:
    """How many slates each passed on, by the person's id."""
    rows = Skip.objects.filter(slate__project=project).order_by().values("labeler")
    return dict(rows.annotate(n=Count("pk")).values_list("labeler", "n"))
