"""What people would have answered: stored once a text, read by supervised fine-tuning."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from labeling.models import Demonstration, Import, Project, Prompt, User
from labeling.prompts import (
    NewPrompt,
    PromptRefused,
    checked_text,
    content_hash,
    new_prompt,
    store_batch,
    unused_in_prompt,
)


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
            hidden = Demonstration.objects.filter(pk=demonstration.pk, imported__committed_at=None)
            hidden.update(imported=None, labeler=labeler)
            demonstration.refresh_from_db()
    return demonstration


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
    """Demonstrations of `project` that count: committed, of prompts that were not withdrawn."""
    return Demonstration.objects.live().filter(prompt__project=project)
