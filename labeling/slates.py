"""What is ranked: K frozen completions of one prompt, with a slot for each labeler to be asked."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Max
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models import (
    Assignment,
    Completion,
    Project,
    Prompt,
    Purpose,
    SampleRequest,
    Slate,
    SlateCompletion,
    Split,
    User,
)
from labeling.reading import primary
from labeling.refusals import Refusal

DEMOTED = -1_000_000
"""Added to the priority of slates that come last."""
ORDERS = secrets.SystemRandom()


class SlateRefused(Refusal):
    """These completions can't be ranked together."""

    code = "slate_refused"
    status = 400
    sentence = _("A slate needs 2 to 9 different completions of one prompt.")


class EvaluationPromptRefused(Refusal):
    """A split is for life."""

    code = "evaluation_prompt"
    sentence = _("Evaluation prompts are never ranked for training.")


def open_slate(
    *,
    prompt: Prompt,
    completions: Sequence[Completion],
    purpose: Purpose | str = Purpose.TRAINING,
    overlap: int | None = None,
    batch: str = "",
    priority: int | None = None,
    request: SampleRequest | None = None,
    repeats: Slate | None = None,
) -> Slate:
    """Freeze completions in this order and make the slots, each with an order of its own.

    overlap: how many labelers are asked (None: as the project says). priority: higher comes first
    (None: the prompt's). batch: a prompt has one slate a batch; asked again, that one comes back.
    repeats: the slate that is shown once more.
    Raises SlateRefused, EvaluationPromptRefused.
    """
    ids = [completion.pk for completion in completions]
    if not 2 <= len(ids) <= 9 or len(set(ids)) != len(ids):
        raise SlateRefused
    if any(completion.prompt_id != prompt.pk for completion in completions):
        raise SlateRefused
    if purpose == Purpose.TRAINING and prompt.split == Split.EVALUATION:
        raise EvaluationPromptRefused
    try:
        with transaction.atomic():
            slate = Slate.objects.create(
                project_id=prompt.project_id,
                prompt=prompt,
                purpose=Purpose(purpose),
                batch=batch,
                request=request,
                repeats=repeats,
            )
            _fill(
                slate,
                ids,
                slots=prompt.project.overlap if overlap is None else overlap,
                priority=prompt.priority if priority is None else priority,
            )
    except IntegrityError:
        there = Slate.objects.filter(prompt=prompt, batch=batch).first() if batch else None
        if there is None:
            raise
        return there
    return slate


def _fill(slate: Slate, ids: list[int], *, slots: int, priority: int) -> None:
    """The slate's completions at their canonical positions, and its slots."""
    SlateCompletion.objects.bulk_create(
        SlateCompletion(slate=slate, completion_id=pk, position=position)
        for position, pk in enumerate(ids)
    )
    Assignment.objects.bulk_create(
        _slot(slate, slot, k=len(ids), priority=priority) for slot in range(slots)
    )


def _slot(slate: Slate, slot: int, *, k: int, priority: int = 0, **held: Any) -> Assignment:
    """One labeler's turn, with an order of its own. The language: what decides who reads it."""
    positions = [str(position) for position in range(k)]
    return Assignment(
        slate=slate,
        project_id=slate.project_id,
        slot=slot,
        priority=priority,
        category=slate.prompt.category,
        language=primary(slate.prompt.language),
        order="".join(ORDERS.sample(positions, k)),
        **held,
    )


def add_slot(*, slate: Slate) -> bool:
    """One labeler more, with the priority that the slate has; False: somebody else was first."""
    has = slate.assignments.aggregate(slot=Max("slot"), priority=Max("priority"))
    number = 0 if has["slot"] is None else has["slot"] + 1
    fresh = _slot(slate, number, k=slate.items.count(), priority=has["priority"] or 0)
    Assignment.objects.bulk_create([fresh], ignore_conflicts=True)
    return Assignment.objects.filter(slate=slate, slot=number, order=fresh.order).exists()


def give_slot(*, slate: Slate, labeler: User, ahead: bool = False) -> Assignment:
    """One more slot, which `labeler` holds: of a slate that is not SHARED, nobody else gets it.

    Within a transaction. Raises IntegrityError where the labeler has one of this slate, or holds
    another one already.
    """
    Slate.objects.select_for_update(no_key=True).get(pk=slate.pk)
    last = slate.assignments.aggregate(last=Max("slot"))["last"]
    fresh = _slot(
        slate,
        0 if last is None else last + 1,
        k=slate.items.count(),
        labeler=labeler,
        ahead=ahead,
        opened_at=timezone.now(),
    )
    fresh.save(force_insert=True)
    return fresh


def demote_unopened(*, project: Project) -> int:
    """Put training slates that nobody has opened yet last; how many slots that were.

    For deployments: they hold completions of the former policy. Called twice, it changes nothing.
    """
    return (
        Assignment.objects.filter(
            project=project,
            state=Assignment.State.OPEN,
            opened_at=None,
            priority__gt=DEMOTED // 2,
            slate__purpose=Purpose.TRAINING,
        )
        .exclude(slate__assignments__opened_at__isnull=False)
        .update(priority=F("priority") + DEMOTED)
    )


def withdraw_slate(*, slate: Slate) -> None:
    """Give its slots out no more. Rankings are kept; one under way can still be submitted."""
    with transaction.atomic():
        Slate.objects.filter(pk=slate.pk, withdrawn_at=None).update(withdrawn_at=Now())
        Assignment.objects.filter(slate=slate, state=Assignment.State.OPEN).update(
            state=Assignment.State.WITHDRAWN
        )
    slate.refresh_from_db(fields=["withdrawn_at"])
