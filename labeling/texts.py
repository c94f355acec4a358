"""Plain texts of a project: brought in by the file, taken out, put back.

Knows nothing of what they are mixed into.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models.functions import Now
from django.utils.translation import gettext as _

from labeling.models import Import, Project, Text
from labeling.prompts import PromptRefused, checked_text


@dataclass(frozen=True, kw_only=True)
class NewText:
    """A text to store."""

    text: str


def new_text(row: Mapping[str, object]) -> NewText:
    """A row as people send it: {"text": "…"}. Raises PromptRefused."""
    if "text" not in row:
        raise PromptRefused("text", _('is missing: write {"text": "…"}'))
    return NewText(text=checked_text("text", row["text"]))


def unused_in_text(row: Mapping[str, object]) -> list[str]:
    """The fields of which `new_text` makes nothing."""
    return [str(name) for name in row if name != "text"]


def store_texts(*, project: Project, batch: Sequence[NewText], imported: Import) -> int:
    """Store one batch of an import; how many were new. One that is there stays as it is."""
    wanted = {_hash(row.text): row.text for row in batch}
    there = Text.objects.filter(project=project, text_hash__in=wanted)
    known = set(there.values_list("text_hash", flat=True))
    fresh = [
        Text(project=project, text=text, text_hash=digest, imported=imported)
        for digest, text in wanted.items()
        if digest not in known
    ]
    Text.objects.bulk_create(fresh, ignore_conflicts=True)
    return len(fresh)


def withdraw_text(*, text: Text) -> None:
    """Take a text out: no later round learns from it. Datasets that hold it keep it."""
    Text.objects.filter(pk=text.pk, withdrawn_at=None).update(withdrawn_at=Now())
    text.refresh_from_db()


def restore_text(*, text: Text) -> None:
    """Put a text back."""
    Text.objects.filter(pk=text.pk).update(withdrawn_at=None)
    text.refresh_from_db()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
