"""Items whose right answer is known: made, changed, withdrawn; how labelers do on each.

An item is a slate of its own (gold, quiz or practice) with a decision. Knows nothing of when it is
given to whom.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Avg, Count
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from labeling.completions import NewCompletion, add_completions, source_for
from labeling.decisions import LONGEST_EXPLANATION, decide, decided, right_share
from labeling.judgements import BadRanks, dense_ranks
from labeling.models import (
    KNOWN_ANSWERS,
    SHARED,
    Assignment,
    Completion,
    Project,
    Prompt,
    Purpose,
    Ranking,
    Slate,
    Source,
    User,
)
from labeling.models.rankings import RankingQuerySet
from labeling.projects import refuse_archived
from labeling.prompts import NewPrompt, add_prompts, checked_text, content_hash, new_prompt
from labeling.refusals import Refusal
from labeling.slates import SlateRefused, open_slate, withdraw_slate

SOURCE = "known answers"
"""Who wrote the completions of uploaded items."""
FEW = 3
"""Answers from which on an item that labelers get wrong looks wrong itself."""
CHANCE = 0.5
MOST_ROWS = 1000


class ItemRefused(Refusal):
    """Not an item. `field`: which part is wrong."""

    code = "item_refused"
    status = 400
    sentence = _lazy("This is not an item with a known answer.")

    def __init__(self, field: str, sentence: object, **values: object) -> None:
        """Name the part that is wrong and what would be right."""
        self.field = field
        super().__init__(str(sentence), **values)


@dataclass(frozen=True, kw_only=True)
class NewItem:
    """A prompt with completions, best and worst known. `ranks`: in the order of the texts."""

    prompt: NewPrompt
    completions: Sequence[str]
    ranks: Sequence[int]
    purpose: Purpose
    explanation: str = ""


@dataclass(frozen=True, kw_only=True)
class Did:
    """How labelers did on an item."""

    count: int = 0
    share: float | None = None
    """Mean right share, 0 to 1."""

    @property
    def doubtful(self) -> bool:
        """Whether guessing would do as well: then the answer is more likely wrong than they."""
        return self.count >= FEW and self.share is not None and self.share <= CHANCE


def make_item(
    *,
    prompt: Prompt,
    ranks: Mapping[int, int],
    purpose: Purpose | str,
    by: User,
    explanation: str = "",
    made_of: Slate | None = None,
) -> Slate:
    """A slate of that purpose with these completions of `prompt`, and its answer.

    ranks: by completion id; these completions are in it. made_of: the slate that had them before.
    Made twice, it is one item, with the newer answer; one that was withdrawn comes back. Raises
    ItemRefused, SlateRefused, BadRanks, BadJudgement.
    """
    kind = purpose_in(purpose)
    dense = dense_ranks(ranks, ranks)
    refuse_all_tied(dense.values())
    completions = list(Completion.objects.filter(prompt=prompt, pk__in=ranks).order_by("pk"))
    if len(completions) != len(ranks):
        raise SlateRefused
    shared = made_of is not None and made_of.purpose in SHARED
    ids = ",".join(str(completion.pk) for completion in completions)
    with transaction.atomic():
        item = open_slate(
            prompt=prompt,
            completions=completions,
            purpose=kind,
            overlap=0,
            batch=f"{kind}:{hashlib.sha256(ids.encode()).hexdigest()[:40]}",
            repeats=made_of if shared else None,
        )
        restore_item(item=item)
        change_answer(item=item, ranks=dense, by=by, explanation=explanation)
    return item


def purpose_in(value: object) -> Purpose:
    """One of KNOWN_ANSWERS. Raises ItemRefused."""
    for purpose in KNOWN_ANSWERS:
        if value == purpose:
            return purpose
    raise ItemRefused("purpose", _('must be "practice", "quiz" or "gold"'))


def refuse_all_tied(ranks: Iterable[int]) -> None:
    """Raise ItemRefused where no completion is better than another."""
    if len(set(ranks)) < 2:
        raise ItemRefused(
            "ranks", _("All have the same rank: at least one must be better than another.")
        )


def change_answer(*, item: Slate, ranks: Mapping[int, int], by: User, explanation: str) -> None:
    """Another answer, or another explanation; what labelers said is measured by it from now on.

    Nobody is paused or accepted by that. Raises ItemRefused, BadRanks, BadJudgement.
    """
    refuse_all_tied(ranks.values())
    with transaction.atomic():
        right = decided(decide(slate=item, by=by, ranks=ranks, explanation=explanation))
        said = list(answers_to([item]).prefetch_related("ranks"))
        for ranking in said:
            ranks_said = {row.completion_id: row.rank for row in ranking.ranks.all()}
            ranking.right_share = right_share(ranks_said, right)
        Ranking.objects.bulk_update(said, ["right_share"], batch_size=500)


def withdraw_item(*, item: Slate) -> None:
    """Give it to nobody any more; what was answered still counts."""
    with transaction.atomic():
        for slate in [item, *item.repeated_by.filter(purpose=item.purpose)]:
            withdraw_slate(slate=slate)
    item.refresh_from_db(fields=["withdrawn_at"])


def restore_item(*, item: Slate) -> None:
    """Undo `withdraw_item`; who was at it then is given it anew."""
    with transaction.atomic():
        slates = Slate.objects.filter(pk__in=_with_tries([item.pk]))
        Assignment.objects.filter(slate__in=slates, state=Assignment.State.WITHDRAWN).update(
            labeler=None, lease_expires_at=None
        )
        slates.update(withdrawn_at=None)
    item.refresh_from_db(fields=["withdrawn_at"])


def _with_tries(items: Sequence[int]) -> list[int]:
    """These slates, and those that give a labeler another try at one, by id."""
    tries = Slate.objects.filter(repeats__in=items, purpose__in=KNOWN_ANSWERS)
    return [*items, *tries.values_list("pk", flat=True)]


def answers_to(items: Sequence[Slate]) -> RankingQuerySet:
    """What labelers said of these items, other tries included."""
    slates = _with_tries([item.pk for item in items])
    return Ranking.objects.current().filter(slate__in=slates)


def how_labelers_did(items: Sequence[Slate]) -> dict[int, Did]:
    """By the item's id, in two queries."""
    ids = {item.pk for item in items}
    rows = (
        answers_to(items)
        .filter(right_share__isnull=False)
        .values_list("slate_id", "slate__repeats_id")
        .annotate(count=Count("pk"), share=Avg("right_share"))
        .order_by()
    )
    found: dict[int, Did] = {pk: Did() for pk in ids}
    for slate, repeats, count, share in rows:
        item = slate if slate in ids else repeats
        before = found[item]
        total = before.count + count
        mean = ((before.share or 0.0) * before.count + share * count) / total
        found[item] = Did(count=total, share=mean)
    return found


def new_item(row: Mapping[str, object]) -> NewItem:
    """A row as people send it: "prompt" (or "messages"), "completions", "ranks", "purpose".

    "explanation" and what a prompt may have, where wanted. Raises PromptRefused, ItemRefused.
    """
    prompt = new_prompt(row)
    texts = row.get("completions")
    if not isinstance(texts, list) or not 2 <= len(texts) <= 9:
        raise ItemRefused("completions", _("must be a list of 2 to 9 texts"))
    checked = [checked_text("completions", text) for text in texts]
    if len(set(checked)) != len(checked):
        raise ItemRefused("completions", _("holds one text twice"))
    ranks = row.get("ranks")
    if not isinstance(ranks, list) or len(ranks) != len(texts):
        raise ItemRefused("ranks", _("must be a list with a rank for each completion"))
    try:
        dense = dense_ranks(dict(enumerate(ranks)), range(len(ranks)))
    except BadRanks as refusal:
        raise ItemRefused("ranks", _("must be whole numbers from 1; 1 is best")) from refusal
    refuse_all_tied(dense.values())
    explanation = row.get("explanation") or ""
    if explanation:
        explanation = checked_text("explanation", explanation)
    if len(str(explanation)) > LONGEST_EXPLANATION:
        raise ItemRefused(
            "explanation", _("has more than %(most)d characters"), most=LONGEST_EXPLANATION
        )
    return NewItem(
        prompt=prompt,
        completions=checked,
        ranks=[dense[place] for place in range(len(ranks))],
        purpose=purpose_in(row.get("purpose")),
        explanation=str(explanation),
    )


def unused_in_item(row: Mapping[str, object]) -> list[str]:
    """The fields of which `new_item` makes nothing."""
    turns = "prompt" if "prompt" in row else "messages"
    used = {turns, "category", "group", "priority"}
    used |= {"completions", "ranks", "purpose", "explanation"}
    return [name for name in row if name not in used]


def add_items(*, project: Project, rows: Sequence[NewItem], by: User) -> list[Slate]:
    """Store items with their prompts and completions, all or none. The same row is one item.

    Raises ProjectArchived.
    """
    refuse_archived(project)
    with transaction.atomic():
        add_prompts(project=project, rows=[row.prompt for row in rows], by=by)
        source = source_for(project=project, kind=Source.Kind.PERSON, name=SOURCE)
        return [_add_item(project, row, source, by) for row in rows]


def _add_item(project: Project, row: NewItem, source: Source, by: User) -> Slate:
    """One item; its prompt is stored."""
    prompt = Prompt.objects.select_related("project").get(
        project=project, content_hash=content_hash(row.prompt.messages)
    )
    texts = [
        NewCompletion(
            source=source,
            external_id=f"{prompt.pk}:{hashlib.sha256(text.encode()).hexdigest()[:40]}",
            text=text,
        )
        for text in row.completions
    ]
    completions = add_completions(prompt=prompt, completions=texts, by=by)
    ranks = {one.pk: rank for one, rank in zip(completions, row.ranks, strict=True)}
    return make_item(
        prompt=prompt, ranks=ranks, purpose=row.purpose, by=by, explanation=row.explanation
    )
