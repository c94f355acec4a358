"""Prompts that say nearly the same, found by a few words they share. Knows nothing of pages.

Each prompt is stored with three numbers (labeling/near_keys.py). Candidates share one of them: they
come by an index, however many prompts there are, and only they are compared letter by letter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice, product

from django.db.models import OuterRef, Q, QuerySet, Subquery
from rapidfuzz import fuzz, process

from labeling.models import Import, Project, Prompt, Split
from labeling.near_keys import Keys, keys_of, plain, root_of
from labeling.prompts import BATCH, split_for

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


KEYS = ("near_1", "near_2", "near_3")


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
    texts = [_compared(prompt.messages) for prompt in found]
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


@dataclass(frozen=True, kw_only=True)
class NearPair:
    """An import's prompt and the nearest one before it, by their ids."""

    prompt: int
    beside: int
    percent: float
    """Equal letters."""


def near_in_import(imported: Import) -> Iterator[list[NearPair]]:
    """The import's prompts that say nearly the same as one before them, batch by batch.

    Before them are the project's own prompts, also withdrawn ones, and those further up in the
    file. Each prompt is compared with one for each pair of keys that they may share, nine at most,
    so that a file made of one template takes no longer: what is found is so, and of prompts that
    share their longest words with very many others some may be missed. Constant memory; no
    transaction is open between batches.
    """
    after = 0
    mine = _pointed(imported.project_id).filter(imported=imported, parent_completion=None)
    while batch := list(mine.filter(pk__gt=after).order_by("pk").values_list(*POINTED)[:BATCH]):
        after = batch[-1][0]
        found = {row[0]: {pk for pk in row[2:] if pk is not None} for row in batch}
        texts = _texts(imported, set().union(*found.values()))
        texts |= {pk: _compared(messages) for pk, messages, *_ in batch}
        pairs = [_nearest(pk, texts, found[pk]) for pk in found]
        yield [pair for pair in pairs if pair is not None]


POINTED = ("pk", "messages", *(f"{mine}_{other}" for mine, other in product(KEYS, KEYS)))


def _pointed(project: int) -> QuerySet[Prompt]:
    """Prompts with, for each two keys, the id of one before them that shares them.

    A seek in an index each; nothing is sorted, and a key that very many share costs no more.
    """
    before = Prompt.objects.filter(
        project=project, parent_completion=None, pk__lt=OuterRef("pk")
    ).order_by()
    return Prompt.objects.filter(project=project).annotate(
        **{
            f"{mine}_{other}": Subquery(before.filter(**{other: OuterRef(mine)}).values("pk")[:1])
            for mine, other in product(KEYS, KEYS)
        }
    )


def _texts(imported: Import, ids: set[int]) -> dict[int, str]:
    """What is compared of prompts that are there or come with this import."""
    texts: dict[int, str] = {}
    there = Q(imported=None) | Q(imported__committed_at__isnull=False) | Q(imported=imported)
    wanted = sorted(ids)
    for start in range(0, len(wanted), BATCH):
        rows = Prompt.objects.filter(there, pk__in=wanted[start : start + BATCH])
        for pk, messages in rows.values_list("pk", "messages"):
            texts[pk] = _compared(messages)
    return texts


def _nearest(pk: int, texts: dict[int, str], others: set[int]) -> NearPair | None:
    """The nearest of `others` to the prompt, where it is near enough."""
    choices = {other: texts[other] for other in sorted(others) if other in texts}
    best = process.extractOne(texts[pk], choices, scorer=fuzz.ratio, score_cutoff=LEAST)
    return NearPair(prompt=pk, beside=best[2], percent=best[1]) if best is not None else None


def _compared(messages: list[dict[str, str]]) -> str:
    """The beginning of the first turn, without differences of spelling."""
    return plain(root_of(messages)[:COMPARED])


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
