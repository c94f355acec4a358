"""Prompts: checked, split for life, added once, withdrawn. Knows nothing of files."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.languages import LanguageError, checked_language
from labeling.models import (
    SHARED,
    Assignment,
    Completion,
    Import,
    Project,
    Prompt,
    SampleRequest,
    Split,
    User,
)
from labeling.near_keys import keys_of, root_of
from labeling.projects import refuse_archived
from labeling.refusals import Refusal

Message = dict[str, str]

ROLES = ("system", "user", "assistant")
FIELDS = ("category", "group", "priority", "kind", "language")
"""What a row may say besides the turns."""
MAX_CHARACTERS = 200_000
MAX_MESSAGES = 200
BATCH = 500
MAX_UNUSED = 40
"""So many fields that were not used are named."""
FIELD_LENGTH = 60
"""Of a field's name, where a problem or an unused field is told."""
SURROGATES = re.compile("[\ud800-\udfff]")
SHARES = ((Split.EVALUATION, 16), (Split.RM_TEST, 6), (Split.JUDGE, 18), (Split.TRAIN, 60))
"""Percent of conversation roots (or groups) in each split."""


class PromptRefused(Refusal):
    """Not a prompt. `field`: which part is wrong."""

    code = "prompt_refused"
    status = 400
    sentence = gettext_lazy("This is not a prompt.")

    def __init__(self, field: str, sentence: str, **values: object) -> None:
        """Name the part that is wrong and what would be right."""
        self.field = field
        super().__init__(sentence, **values)


@dataclass(frozen=True, kw_only=True)
class NewPrompt:
    """A prompt to be added. `messages` ends with the user's turn (see `messages_of`)."""

    messages: Sequence[Message]
    category: str = ""
    group: str = ""
    priority: int = 0
    parent_completion: Completion | None = None
    kind: str = ""
    """One of Prompt.Kind: how a labeler wrote it."""
    language: str = ""
    """As `labeling.languages.checked_language` spells it; empty: for everybody."""


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of the rows: `added` are new, `duplicates` were there already."""

    added: int
    duplicates: int


def messages_of(value: object) -> list[Message]:
    """A prompt as a list of messages: `value` is a text or a list of {"role", "content"}.

    Raises PromptRefused with field "prompt" or "messages".
    """
    if isinstance(value, str):
        return [{"role": "user", "content": checked_text("prompt", value)}]
    if not isinstance(value, list) or not value:
        raise PromptRefused(
            "prompt", _('write a text, or a list of messages {"role": …, "content": …}')
        )
    if len(value) > MAX_MESSAGES:
        raise PromptRefused("messages", _("at most %(most)d messages"), most=MAX_MESSAGES)
    messages = [_message(item, number) for number, item in enumerate(value)]
    if messages[-1]["role"] != "user":
        raise PromptRefused(
            "messages",
            _("the last message must be the user's; an answer belongs into demonstrations"),
        )
    return messages


def _message(item: object, number: int) -> Message:
    """One turn, checked."""
    if not isinstance(item, dict):
        raise PromptRefused(
            "messages", _('message %(n)d must be {"role": …, "content": …}'), n=number + 1
        )
    role = item.get("role")
    if role not in ROLES:
        raise PromptRefused(
            "role", _("message %(n)d: the role must be system, user or assistant"), n=number + 1
        )
    if role == "system" and number:
        raise PromptRefused(
            "role", _("message %(n)d: a system message can only come first"), n=number + 1
        )
    return {"role": role, "content": checked_text("content", item.get("content"))}


def checked_text(field: str, value: object) -> str:
    """`value` if it is a text that can be stored and shown. Raises PromptRefused."""
    if not isinstance(value, str):
        raise PromptRefused(field, _("must be a text in quotes"))
    if not value.strip():
        raise PromptRefused(field, _("is empty; write a text"))
    if len(value) > MAX_CHARACTERS:
        raise PromptRefused(
            field,
            _("has %(n)d characters; at most %(most)d are taken"),
            n=len(value),
            most=MAX_CHARACTERS,
        )
    if "\x00" in value:
        raise PromptRefused(field, _("holds a NUL character; remove it"))
    if SURROGATES.search(value):
        raise PromptRefused(
            field, _("holds half of a character (a lone surrogate); write it whole")
        )
    return value


def new_prompt(row: Mapping[str, object]) -> NewPrompt:
    """A row as people send it: "prompt" or "messages", and those of FIELDS that are wanted.

    Raises PromptRefused.
    """
    if "prompt" in row:
        messages = messages_of(row["prompt"])
    elif "messages" in row:
        messages = messages_of(row["messages"])
    else:
        raise PromptRefused("prompt", _('is missing: write {"prompt": "…"} or {"messages": […]}'))
    return NewPrompt(
        messages=messages,
        category=_label("category", row.get("category"), 60),
        group=_label("group", row.get("group"), 120),
        priority=_priority(row.get("priority")),
        kind=_kind(row.get("kind")),
        language=_language(row.get("language")),
    )


def unused_in_prompt(row: Mapping[str, object]) -> list[str]:
    """The fields of which `new_prompt` makes nothing."""
    turns = "prompt" if "prompt" in row else "messages"
    return [name for name in row if name not in (turns, *FIELDS)]


def field_name(name: str) -> str:
    """A field's name out of foreign hands, as it can be stored and shown: cut, without controls."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name[:FIELD_LENGTH])


def _label(field: str, value: object, most: int) -> str:
    """A short text that may be left out."""
    if value is None or value == "":
        return ""
    text = checked_text(field, value).strip()
    if len(text) > most:
        raise PromptRefused(field, _("must have at most %(most)d characters"), most=most)
    return text


def _priority(value: object) -> int:
    """A whole number; higher comes first."""
    if value is None or value == "":
        return 0
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or abs(number) > 1000:
        raise PromptRefused("priority", _("must be a whole number from -1000 to 1000"))
    return number


def _kind(value: object) -> str:
    """How it was written, if that is known."""
    kind = _label("kind", value, 20)
    if kind and kind not in Prompt.Kind.values:
        known = ", ".join(f"“{name}”" for name in Prompt.Kind.values)
        raise PromptRefused("kind", _("must be one of %(known)s"), known=known)
    return kind


def _language(value: object) -> str:
    """The code of the prompt's language, if it has one."""
    code = _label("language", value, FIELD_LENGTH)
    try:
        return checked_language(code) if code else ""
    except LanguageError as unknown:
        raise PromptRefused("language", str(unknown)) from unknown


def content_hash(messages: Sequence[Message]) -> str:
    """SHA-256 of the conversation in one canonical spelling: equal prompts have equal hashes."""
    spelled = json.dumps(
        [[m["role"], m["content"]] for m in messages], ensure_ascii=False, separators=(",", ":")
    )
    return hashlib.sha256(spelled.encode()).hexdigest()


def share_of_rankings(split: Split) -> float:
    """About which share of all rankings is on prompts of `split`; evaluation has none."""
    shares: dict[Split, int] = {name: share for name, share in SHARES if name != Split.EVALUATION}
    return shares[split] / sum(shares.values())


def split_for(root: str) -> Split:
    """The split of a conversation root's text (or a group's name), for life.

    Spelling differences in case, spacing and Unicode form make no difference, so that
    near-duplicates don't fall on both sides.
    """
    plain = " ".join(unicodedata.normalize("NFKC", root).casefold().split())
    bucket = int.from_bytes(hashlib.sha256(b"split:" + plain.encode()).digest()[:8]) % 100
    for split, share in SHARES:
        if bucket < share:
            return split
        bucket -= share
    raise AssertionError(SHARES)


def _root(prompt: NewPrompt) -> str:
    """What decides the split: the group, else the conversation's first user turn."""
    return prompt.group or root_of(prompt.messages)


def add_prompts(
    *,
    project: Project,
    rows: Iterable[NewPrompt],
    by: User | None = None,
    imported: Import | None = None,
) -> Added:
    """Store prompts in batches, each once per project; those that are there already are counted.

    A prompt that waits, invisible, in an import under way becomes visible at once when it is
    added by other means. Constant memory. Raises ProjectArchived.
    """
    refuse_archived(project)
    added = duplicates = 0
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        fresh = store_batch(project=project, batch=batch, by=by, imported=imported)
        added += fresh
        duplicates += len(batch) - fresh
    return Added(added=added, duplicates=duplicates)


def store_batch(
    *, project: Project, batch: Sequence[NewPrompt], by: User | None, imported: Import | None
) -> int:
    """Store one batch in a short transaction; how many were new."""
    fresh = {content_hash(row.messages): row for row in reversed(batch)}
    with transaction.atomic():
        there = Prompt.objects.filter(project=project, content_hash__in=list(fresh))
        if imported is None:
            invisible = Q(imported__isnull=False, imported__committed_at=None)
            surfaced = there.filter(invisible).update(imported=None, created_by=by)
        else:
            surfaced = 0
        known = set(there.values_list("content_hash", flat=True))
        rows = [
            _row(project, digest, row, by, imported)
            for digest, row in reversed(fresh.items())
            if digest not in known
        ]
        Prompt.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows) + surfaced


def _row(
    project: Project, digest: str, row: NewPrompt, by: User | None, imported: Import | None
) -> Prompt:
    """The row of a prompt."""
    parent = row.parent_completion
    near_1, near_2, near_3 = keys_of(root_of(row.messages))
    return Prompt(
        project=project,
        messages=list(row.messages),
        content_hash=digest,
        group=row.group,
        split=split_for(_root(row)),
        category=row.category,
        language=row.language,
        kind=row.kind,
        near_1=near_1,
        near_2=near_2,
        near_3=near_3,
        priority=row.priority,
        shuffle=int(digest[-8:], 16) & 0x7FFFFFFF,
        parent_completion=parent,
        imported=imported,
        created_by=by,
    )


def withdraw_prompt(*, prompt: Prompt) -> None:
    """Take a prompt out of the work: its open slates are not given out any more.

    Rankings that exist are kept. A labeler who is ranking it now can still submit.
    """
    with transaction.atomic():
        Prompt.objects.filter(pk=prompt.pk, withdrawn_at=None).update(withdrawn_at=Now())
        Assignment.objects.filter(slate__prompt=prompt, state=Assignment.State.OPEN).update(
            state=Assignment.State.WITHDRAWN
        )
        SampleRequest.objects.filter(prompt=prompt, state=SampleRequest.State.WAITING).update(
            state=SampleRequest.State.FAILED, error_code="withdrawn", done_at=Now()
        )
    prompt.refresh_from_db(fields=["withdrawn_at"])


def prioritise_prompt(*, prompt: Prompt, priority: object) -> None:
    """Give a prompt another priority, and its slots that are not done yet. Raises PromptRefused.

    Slots that come last, since they are a former policy's, keep their distance to the others.
    """
    wanted = _priority(priority)
    with transaction.atomic():
        before = Prompt.objects.select_for_update().values_list("priority", flat=True)
        further = wanted - before.get(pk=prompt.pk)
        Prompt.objects.filter(pk=prompt.pk).update(priority=wanted)
        slots = Assignment.objects.filter(slate__prompt=prompt, state=Assignment.State.OPEN)
        slots.update(priority=F("priority") + further)
    prompt.priority = wanted


def restore_prompt(*, prompt: Prompt) -> None:
    """Undo `withdraw_prompt`: slots that nobody did are given out again.

    One that was made for a labeler alone is not; its slate gets another when it is due.
    """
    with transaction.atomic():
        Prompt.objects.filter(pk=prompt.pk).update(withdrawn_at=None)
        slots = Assignment.objects.filter(
            slate__prompt=prompt,
            slate__withdrawn_at=None,
            state=Assignment.State.WITHDRAWN,
        )
        slots.update(labeler=None, lease_expires_at=None)
        slots.filter(slate__purpose__in=SHARED).update(state=Assignment.State.OPEN)
    prompt.withdrawn_at = None
