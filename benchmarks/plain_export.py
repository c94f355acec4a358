"""The plain way to export pairs, to be measured against: all rows in a list, one response.

A throw-away WSGI application: the same database, the same rows, none of the product's export code.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import django_ready  # noqa: F401  # first: models need it
from labeling.models import RankedCompletion

Start = Callable[[str, list[tuple[str, str]]], Any]


def application(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """`/<slug>`: every pair of a project as JSON Lines."""
    rows = pairs(environ["PATH_INFO"].strip("/"))
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    start_response("200 OK", [("Content-Type", "application/jsonl; charset=utf-8")])
    return [body]


def pairs(slug: str) -> list[dict[str, Any]]:
    """A row for each untied pair of the current training rankings, in the order of the rankings."""
    ranked: dict[int, list[RankedCompletion]] = defaultdict(list)
    for row in RankedCompletion.objects.filter(
        ranking__slate__project__slug=slug,
        ranking__slate__purpose="training",
        ranking__slate__withdrawn_at=None,
        ranking__slate__prompt__withdrawn_at=None,
        ranking__is_current=True,
    ).select_related("completion__source", "ranking__slate__prompt", "ranking__labeler"):
        ranked[row.ranking_id].append(row)
    rows = []
    for _ranking, items in sorted(ranked.items()):
        items.sort(key=lambda item: item.completion_id)
        for place, one in enumerate(items):
            for other in items[place + 1 :]:
                if one.rank < other.rank:
                    rows.append(pair(one, other))
                elif other.rank < one.rank:
                    rows.append(pair(other, one))
    return rows


def pair(chosen: RankedCompletion, rejected: RankedCompletion) -> dict[str, Any]:
    """One row, with the fields of the product's export in their order."""
    ranking = chosen.ranking
    prompt = ranking.slate.prompt
    return {
        "prompt": prompt.messages,
        "chosen": [{"role": "assistant", "content": chosen.completion.text}],
        "rejected": [{"role": "assistant", "content": rejected.completion.text}],
        "chosen_id": chosen.completion_id,
        "chosen_source": chosen.completion.source.name,
        "chosen_rank": chosen.rank,
        "chosen_finished": chosen.completion.finished,
        "rejected_id": rejected.completion_id,
        "rejected_source": rejected.completion.source.name,
        "rejected_rank": rejected.rank,
        "rejected_finished": rejected.completion.finished,
        "ranking": ranking.pk,
        "prompt_id": prompt.pk,
        "split": prompt.split,
        "category": prompt.category,
        "purpose": ranking.slate.purpose,
        "labeler": ranking.labeler.pseudonym,
        "weight": 1.0,
        "seconds": ranking.seconds,
        "created_at": ranking.created_at.isoformat(),
    }
