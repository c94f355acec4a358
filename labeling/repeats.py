"""A labeler's own earlier work, shown once more to see whether they would say the same (drift).

Nothing that a labeler sees tells a repeat from any other prompt.
"""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q

from labeling.draws import first_drawn
from labeling.models import (
    Project,
    Purpose,
    RankedCompletion,
    Ranking,
    Slate,
    SlateCompletion,
    User,
)
from labeling.slates import open_slate

AGO = 20
"""So many rankings at least lie between, so that it is not remembered."""
REACH = 500
"""So many of the newest that are old enough are drawn from."""


def next_repeat(*, project: Project, labeler: User) -> Slate | None:
    """A new slate that shows one of the labeler's own again; None: none is old enough.

    Of training slates alone, each once, and not where a better version was written: it is ranked
    there beside the slate's own.
    """
    mine = Ranking.objects.current().filter(labeler=labeler, slate__project=project)
    newest = list(mine.order_by("-pk").values_list("pk", flat=True)[AGO : AGO + 1])
    if not newest:
        return None
    own = SlateCompletion.objects.filter(
        slate=OuterRef("ranking__slate"), completion=OuterRef("completion")
    )
    written = RankedCompletion.objects.filter(~Exists(own), ranking=OuterRef("pk"))
    again = Slate.objects.filter(
        Q(assignments__labeler=labeler) | Q(skips__labeler=labeler),
        repeats=OuterRef("slate"),
        purpose=Purpose.REPEAT,
    )
    old = mine.filter(
        ~Exists(written),
        ~Exists(again),
        pk__lte=newest[0],
        slate__purpose=Purpose.TRAINING,
        slate__withdrawn_at=None,
        slate__prompt__withdrawn_at=None,
    ).order_by("-pk")
    chosen = first_drawn(old.values_list("slate", flat=True)[:REACH], f"repeat:{labeler.pk}")
    if chosen is None:
        return None
    slate = Slate.objects.select_related("prompt__project").get(pk=chosen)
    rows = slate.items.select_related("completion")
    return open_slate(
        prompt=slate.prompt,
        completions=[row.completion for row in rows],
        purpose=Purpose.REPEAT,
        overlap=0,
        batch=f"repeat:{slate.pk}:{labeler.pk}",
        repeats=slate,
    )
