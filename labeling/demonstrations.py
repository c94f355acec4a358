"""What people would have answered: stored once a text, read by supervised fine-tuning."""

from __future__ import annotations

import hashlib

from labeling.models import Demonstration, Import, Prompt, User
from labeling.prompts import checked_text


def text_hash(text: str) -> str:
    """SHA-256 of a demonstration: a prompt holds each text once."""
    return hashlib.sha256(text.encode()).hexdigest()


def add_demonstration(
    *, prompt: Prompt, text: str, labeler: User | None = None, imported: Import | None = None
) -> Demonstration:
    """Store an answer to `prompt`; the same text again is the same row. Raises PromptRefused."""
    checked = checked_text("completion", text)
    demonstration, _created = Demonstration.objects.get_or_create(
        prompt=prompt,
        text_hash=text_hash(checked),
        defaults={"text": checked, "labeler": labeler, "imported": imported},
    )
    return demonstration
