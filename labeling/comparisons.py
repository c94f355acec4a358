"""What rankings say of pairs, read page by page up to a mark: constant memory, no long transaction.

Feeds exports; knows nothing of their formats' spelling.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from django.db.models import Exists, OuterRef, QuerySet

from labeling.formats.preferences import RankedSlate, RankedText, untied
from labeling.models import Project, Purpose, RankedCompletion, Ranking, Slate, Split
from labeling.rankings import mark
from labeling.weights import weight_of_labeler

PAGE = 200
"""Rankings read at once."""


def exportable(
    *,
    project: Project,
    purposes: Sequence[Purpose | str] = (Purpose.TRAINING,),
    split: Split | str | None = None,
) -> QuerySet[Ranking]:
    """The rankings of `project` that stand, of prompts that were not withdrawn (of one `split`).

    The slate is looked at by EXISTS, not by a join: with a join, SQLite begins at the project's
    slates and sorts all of them again for each page.
    """
    slates = Slate.objects.filter(
        pk=OuterRef("slate"),
        project=project,
        purpose__in=purposes,
        withdrawn_at=None,
        prompt__withdrawn_at=None,
    )
    if split is not None:
        slates = slates.filter(prompt__split=split)
    return Ranking.objects.current().filter(Exists(slates))


def ranked_slates(
    rankings: QuerySet[Ranking], *, after: int = 0, up_to: int | None = None
) -> Iterator[RankedSlate]:
    """Rankings in the order of their ids, with prompt and completions.

    after: begin behind this ranking id. up_to: end with this one (None: with the last one that
    was committed when the reading began, so that it ends although people go on working).
    """
    last = mark() if up_to is None else up_to
    while page := _page(rankings.filter(pk__gt=after, pk__lte=last)):
        yield from page
        after = page[-1].id


def pairs(
    rankings: QuerySet[Ranking], *, after: int = 0, up_to: int | None = None
) -> Iterator[tuple[RankedSlate, RankedText, RankedText]]:
    """Each untied pair as (ranking, chosen, rejected); see `ranked_slates`."""
    for ranking in ranked_slates(rankings, after=after, up_to=up_to):
        for chosen, rejected in untied(ranking.completions):
            yield ranking, chosen, rejected


def _page(rankings: QuerySet[Ranking]) -> list[RankedSlate]:
    """The next page, read with two queries."""
    rows = list(
        rankings.order_by("pk").values_list(
            "pk",
            "slate__prompt_id",
            "slate__prompt__messages",
            "slate__prompt__split",
            "slate__prompt__category",
            "slate__purpose",
            "labeler__pseudonym",
            weight_of_labeler(),
            "seconds",
            "created_at",
        )[:PAGE]
    )
    texts = _texts([row[0] for row in rows])
    return [
        RankedSlate(
            id=pk,
            prompt_id=prompt_id,
            prompt=messages,
            split=split,
            category=category,
            purpose=purpose,
            labeler=labeler,
            weight=weight,
            seconds=seconds,
            created_at=created_at.isoformat(),
            completions=texts[pk],
        )
        for (
            pk,
            prompt_id,
            messages,
            split,
            category,
            purpose,
            labeler,
            weight,
            seconds,
            created_at,
        ) in rows
    ]


def _texts(rankings: Sequence[int]) -> dict[int, list[RankedText]]:
    """The ranked completions of these rankings, in the order of their ids."""
    found: dict[int, list[RankedText]] = defaultdict(list)
    rows = RankedCompletion.objects.filter(ranking__in=rankings).order_by("completion_id")
    for ranking, pk, text, source, finished, rank in rows.values_list(
        "ranking_id",
        "completion_id",
        "completion__text",
        "completion__source__name",
        "completion__finished",
        "rank",
    ):
        found[ranking].append(
            RankedText(id=pk, text=text, source=source, finished=finished, rank=rank)
        )
    return found
