"""What people would have answered: stored once a text, read by supervised fine-tuning."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from labeling.models import Demonstration, Import, Project, Prompt, RankedCompletion, User
from labeling.prompts import (
    NewPrompt,
    PromptRefused,
    checked_text,
    content_hash,
    new_prompt,
    store_batch,
    unused_in_prompt,
)
from labeling.refusals import Refusal


@dataclass(frozen=True, kw_only=True)
class NewDemonstration:
    """A prompt and what a person would have answered."""

    prompt: NewPrompt
    text: str


def new_demonstration(row: Mapping[str, object]) -> NewDemonstration:
    """A row as people send it: "prompt" and "completion", or "messages" that end with the answer.

    The completion is a text or, as in TRL's format, a list with one message of the assistant.
    Raises PromptRefused.
    """
    if "completion" in row:
        answer = row["completion"]
        if isinstance(answer, list) and len(answer) == 1:
            answer = _said_by_assistant(answer[0])
        return NewDemonstration(prompt=new_prompt(row), text=checked_text("completion", answer))
    messages = row.get("messages")
    if not isinstance(messages, list) or len(messages) < 2:
        raise PromptRefused("completion", _('is missing: write {"prompt": "…", "completion": "…"}'))
    answer = _said_by_assistant(messages[-1])
    asked = new_prompt({**row, "messages": messages[:-1]})
    return NewDemonstration(prompt=asked, text=checked_text("completion", answer))


def unused_in_demonstration(row: Mapping[str, object]) -> list[str]:
    """The fields of which `new_demonstration` makes nothing."""
    answer = "completion" if "completion" in row else "messages"
    return [name for name in unused_in_prompt(row) if name != answer]


def _said_by_assistant(message: object) -> object:
    """The content of the assistant's turn."""
    if not isinstance(message, dict) or message.get("role") != "assistant":
        raise PromptRefused(
            "completion", _('the answer must be {"role": "assistant", "content": "…"}')
        )
    return message.get("content")


def text_hash(text: str) -> str:
    """SHA-256 of a demonstration: a prompt holds each text once."""
    return hashlib.sha256(text.encode()).hexdigest()


def add_demonstration(*, prompt: Prompt, text: str, labeler: User | None = None) -> Demonstration:
    """Store an answer to `prompt`; the same text again is the same row. Raises PromptRefused."""
    checked = checked_text("completion", text)
    with transaction.atomic():
        demonstration, created = Demonstration.objects.get_or_create(
            prompt=prompt,
            text_hash=text_hash(checked),
            defaults={"text": checked, "labeler": labeler},
        )
        if not created and demonstration.imported is not None:
            _adopt(demonstration, labeler=labeler)
    return demonstration


def propose_demonstration(
    *, prompt: Prompt, text: str, labeler: User, edited_from: int | None = None
) -> Demonstration:
    """What a labeler wrote: it waits for a reviewer's yes. The same text again is the same row.

    edited_from: the id of the completion that it was made of. Raises PromptRefused.
    """
    checked = checked_text("completion", text)
    said = {
        "labeler": labeler,
        "state": Demonstration.State.WAITING,
        "edited_from_id": edited_from,
    }
    with transaction.atomic():
        demonstration, created = Demonstration.objects.get_or_create(
            prompt=prompt, text_hash=text_hash(checked), defaults={"text": checked, **said}
        )
        if not created and demonstration.imported is not None:
            _adopt(demonstration, **said)
    return demonstration


def was_refused(*, prompt: Prompt, text: str) -> bool:
    """Whether a reviewer said no to this very text, whoever wrote it."""
    same = Demonstration.objects.filter(prompt=prompt, text_hash=text_hash(text))
    return same.filter(state=Demonstration.State.REFUSED).exists()


def was_taken_back(demonstration: Demonstration) -> bool:
    """Whether its writer left this better version out when correcting the ranking that it is of."""
    if demonstration.edited_from_id is None:
        return False
    standing = RankedCompletion.objects.filter(
        ranking__is_current=True,
        ranking__labeler=demonstration.labeler,
        completion__edited_from=demonstration.edited_from,
    )
    texts = standing.values_list("completion__text", flat=True)
    return demonstration.text.strip() not in {text.strip() for text in texts}


def _adopt(demonstration: Demonstration, **said: object) -> None:
    """Take a row out of an import that is not committed, and may be undone, as it was said here."""
    hidden = Demonstration.objects.filter(pk=demonstration.pk, imported__committed_at=None)
    hidden.update(imported=None, **said)
    demonstration.refresh_from_db()


class ReviewedBefore(Refusal):
    """One review a demonstration."""

    code = "reviewed_before"
    sentence = _lazy("Somebody has reviewed this one meanwhile.")


def accept_demonstration(
    *, demonstration: Demonstration, by: User, text: str | None = None
) -> Demonstration:
    """A reviewer's yes: it is trained on from the next round. The row that is.

    text: a better form, as another row; what was proposed is kept beside it. Raises ReviewedBefore,
    also where that form was reviewed otherwise before; PromptRefused.
    """
    state = Demonstration.State
    better = None if text is None else checked_text("completion", text.replace("\r\n", "\n"))
    if better is None or better.strip() == demonstration.text.strip():
        _review(demonstration, by, state.ACCEPTED)
        return demonstration
    with transaction.atomic():
        _review(demonstration, by, state.EDITED)
        fresh, created = Demonstration.objects.get_or_create(
            prompt=demonstration.prompt,
            text_hash=text_hash(better),
            defaults={
                "text": better,
                "labeler": by,
                "state": state.ACCEPTED,
                "reviewed_by": by,
                "reviewed_at": timezone.now(),
                "reviewed_from": demonstration,
            },
        )
        if not created and fresh.state != state.ACCEPTED:
            _review(fresh, by, state.ACCEPTED)
    return fresh


def refuse_demonstration(*, demonstration: Demonstration, by: User) -> None:
    """A reviewer's no: it is kept, and never trained on. Raises ReviewedBefore."""
    _review(demonstration, by, Demonstration.State.REFUSED)


class NotReviewed(Refusal):
    """Nothing was decided of it, or another form was accepted in its place."""

    code = "not_reviewed"
    sentence = _lazy("Only what was accepted or refused can be reviewed again.")


def review_again(*, demonstration: Demonstration) -> None:
    """Take a review back, be it a yes or a no: it waits again. Raises NotReviewed.

    Datasets that are frozen stay as they are.
    """
    state = Demonstration.State
    decided = Demonstration.objects.filter(
        pk=demonstration.pk, state__in=(state.ACCEPTED, state.REFUSED)
    )
    if not decided.update(state=state.WAITING, reviewed_by=None, reviewed_at=None):
        raise NotReviewed
    demonstration.refresh_from_db()


def _review(demonstration: Demonstration, by: User, state: Demonstration.State) -> None:
    """Once, and only of one that waits."""
    waiting = Demonstration.objects.filter(pk=demonstration.pk, state=Demonstration.State.WAITING)
    if not waiting.update(state=state, reviewed_by=by, reviewed_at=Now()):
        raise ReviewedBefore
    demonstration.refresh_from_db()


def store_demonstrations(
    *,
    project: Project,
    batch: Sequence[NewDemonstration],
    by: User | None,
    imported: Import,
) -> int:
    """Store one batch of an import with the prompts that are missing; how many were new."""
    store_batch(project=project, batch=[row.prompt for row in batch], by=by, imported=imported)
    hashes = [content_hash(row.prompt.messages) for row in batch]
    prompts = dict(
        Prompt.objects.filter(project=project, content_hash__in=hashes).values_list(
            "content_hash", "pk"
        )
    )
    wanted = {
        (prompts[digest], text_hash(row.text)): row.text
        for digest, row in zip(hashes, batch, strict=True)
    }
    there = set(
        Demonstration.objects.filter(prompt__in=prompts.values()).values_list(
            "prompt_id", "text_hash"
        )
    )
    fresh = [
        Demonstration(prompt_id=key[0], text_hash=key[1], text=text, imported=imported)
        for key, text in wanted.items()
        if key not in there
    ]
    Demonstration.objects.bulk_create(fresh, ignore_conflicts=True)
    return len(fresh)


def live_demonstrations(project: Project) -> QuerySet[Demonstration]:
    """Demonstrations of `project` that count: accepted, committed, of prompts not withdrawn."""
    return Demonstration.objects.live().filter(
        prompt__project=project, state=Demonstration.State.ACCEPTED
    )
