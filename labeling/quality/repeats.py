"""Whether labelers say again what they said before: rankings of repeats beside the first ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from labeling.models import Project, Purpose, RankedCompletion, Ranking
from labeling.quality.resampling import Estimate, share

PAGE = 500


def repeats_of(project: Project, *, up_to: int) -> dict[int, Estimate]:
    """By labeler (id): of the pairs ordered both times, the share ordered alike."""
    rows: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    again = Ranking.objects.current().filter(
        slate__project=project, slate__purpose=Purpose.REPEAT, slate__repeats__isnull=False
    )
    after = 0
    while page := list(
        again.filter(pk__gt=after, pk__lte=up_to)
        .order_by("pk")
        .values_list("pk", "labeler_id", "slate__repeats_id")[:PAGE]
    ):
        for labeler, slate, alike, both in _compared(page):
            rows[labeler].append((slate, alike, both))
        after = page[-1][0]
    found = {}
    for labeler, own in rows.items():
        slates, alike, both = np.array(own).T
        estimate = share(alike.astype(float), both.astype(float), slates)
        if estimate is not None:
            found[labeler] = estimate
    return found


def _compared(page: Sequence[tuple[int, int, int | None]]) -> list[tuple[int, int, int, int]]:
    """(labeler, slate, pairs ordered alike, pairs ordered both times) for each repeat."""
    slates = {slate for _pk, _labeler, slate in page if slate is not None}
    firsts = {
        (labeler, slate): pk
        for pk, labeler, slate in Ranking.objects.current()
        .filter(slate__in=slates, labeler__in={labeler for _pk, labeler, _slate in page})
        .values_list("pk", "labeler_id", "slate_id")
    }
    ranks: dict[int, dict[int, int]] = defaultdict(dict)
    wanted = [pk for pk, _labeler, _slate in page]
    for part in (wanted, list(firsts.values())):
        for start in range(0, len(part), PAGE):
            for ranking, completion, rank in RankedCompletion.objects.filter(
                ranking__in=part[start : start + PAGE]
            ).values_list("ranking_id", "completion_id", "rank"):
                ranks[ranking][completion] = rank
    found = []
    for pk, labeler, slate in page:
        first = firsts.get((labeler, slate or 0))
        if slate is not None and first is not None:
            found.append((labeler, slate, *_alike(ranks[pk], ranks[first])))
    return found


def _alike(now: dict[int, int], before: dict[int, int]) -> tuple[int, int]:
    shared = sorted(set(now) & set(before))
    alike = both = 0
    for number, a in enumerate(shared):
        for b in shared[number + 1 :]:
            here, there = now[a] - now[b], before[a] - before[b]
            if here and there:
                both += 1
                alike += (here > 0) == (there > 0)
    return alike, both
