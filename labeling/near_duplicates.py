"""Prompts that say nearly the same, found by a few words they share. Knows nothing of pages.

Each prompt is stored with three numbers (labeling/near_keys.py). Candidates share one of them: they
come by an index, however many prompts there are, and only they are compared letter by letter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, islice

from django.db.models import Q, QuerySet
from rapidfuzz import fuzz, process

from labeling.models import Project, Prompt, Split
from labeling.near_keys import Keys, keys_of, plain, root_of
from labeling.prompts import split_for

COMPARED = 4_000
"""Characters that are compared."""
MOST_READ = 100_000
"""Ids of prompts that share a pair of words: a project may be made of one template."""
MOST_CANDIDATES = 1_000
"""Of these, those that are compared."""
LEAST = 85.0
"""Percent of equal letters, from which on two prompts are nearly the same."""
MOST_SHOWN = 3
MOST_GUARDED = (Split.EVALUATION, Split.RM_TEST, Split.JUDGE, Split.TRAIN)
"""What a model must least of all have learned from comes first."""


@dataclass(frozen=True, kw_only=True)
class Near:
    """A prompt that says nearly the same."""

    prompt: Prompt
    percent: float
    """Equal letters."""

    @property
    def text(self) -> str:
        """What was compared: the first turn."""
        return root_of(self.prompt.messages)


def near_duplicates(*, project: Project, text: str) -> list[Near]:
    """Prompts of `project` that say nearly the same as `text`, the nearest first.

    Withdrawn ones as well: what was taken out need not be written again. Without later turns of
    conversations, and without those of an import that is not committed.
    """
    wanted = plain(text[:COMPARED])
    found = list(_candidates(project, keys_of(text)))
    texts = [plain(root_of(prompt.messages)[:COMPARED]) for prompt in found]
    scored = process.extract(
        wanted, texts, scorer=fuzz.ratio, score_cutoff=LEAST, limit=MOST_CANDIDATES
    )
    return [Near(prompt=found[index], percent=percent) for _text, percent, index in scored]


def _candidates(project: Project, keys: Keys) -> QuerySet[Prompt]:
    """Those that share a pair of words; of very many those that share most pairs."""
    known = [key for key in keys if key is not None]
    prompts = Prompt.objects.filter(project=project, parent_completion=None)
    # One index each: joined by OR, SQLite would rather read all of the project's prompts.
    first, second, third = (
        prompts.filter(**{f"near_{number}__in": known}).order_by().values_list("pk", flat=True)
        for number in (1, 2, 3)
    )
    shared = Counter(islice(first.union(second, third, all=True).iterator(), MOST_READ))
    chosen = [pk for pk, _hits in shared.most_common(MOST_CANDIDATES)]
    committed = Q(imported=None) | Q(imported__committed_at__isnull=False)
    return Prompt.objects.filter(committed, pk__in=chosen).order_by("pk")


def group_beside(near: Sequence[Near]) -> str:
    """The group that keeps a new prompt in the split of those nearly the same; empty for none.

    Where they are in several splits, the most guarded one: nothing learns from what is measured.
    """
    if not near:
        return ""
    order = {split: place for place, split in enumerate(MOST_GUARDED)}
    nearest = min(near, key=lambda one: (order[Split(one.prompt.split)], -one.percent))
    return group_of(nearest.prompt)


def group_of(prompt: Prompt) -> str:
    """The prompt's group, or the name of one whose hash falls into the prompt's own split."""
    if prompt.group:
        return prompt.group
    names = (f"like {prompt.pk}.{number}" for number in count())
    return next(name for name in names if split_for(name) == prompt.split)
