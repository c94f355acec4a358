"""A form of free text while it is filled in: kept on the server, sent or not.

Knows forms as lists of [name, value] and nothing of what the fields mean.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from django.db.models import QuerySet

from labeling.drafts import DraftRefused, put_newest
from labeling.models import FormDraft, Project, User

Form = FormDraft.Form
Fields = Sequence[tuple[str, str]]
MOST_SEQUENCE = 2**62
MAX_DRAFT = 4 * 1024 * 1024
"""Bytes: the longest prompt, a message before it and twenty long examples."""


def save_form_draft(
    form: Form,
    *,
    project: Project,
    labeler: User,
    fields: Fields,
    sequence: int,
    based_on: int | None = None,
) -> bool:
    """Keep what the form holds so far.

    sequence: grows with each change. based_on: that of the draft that was changed, 0 for none; a
    tab that has not seen the newest draft never overwrites it (None: any older one is). False: not
    stored, because a newer one is there or the form was sent meanwhile. Raises DraftRefused.
    """
    content = [list(pair) for pair in fields]
    if len(json.dumps(content, ensure_ascii=False).encode()) > MAX_DRAFT or sequence < 0:
        raise DraftRefused
    fresh = FormDraft(
        form=form, project=project, labeler=labeler, sequence=sequence, content=content
    )
    seen = sequence - 1 if based_on is None else min(based_on, sequence - 1)
    return put_newest(_of(form, project, labeler), fresh, seen=seen)


def keep_form_draft(
    form: Form, *, project: Project, labeler: User, fields: Fields, based_on: int | None = None
) -> None:
    """Keep what could not be sent as the newest draft, unless one is newer than `based_on`.

    Raises DraftRefused.
    """
    newest = _of(form, project, labeler).values_list("sequence", flat=True).first() or 0
    sequence = max(newest + 1, int(time.time() * 1000))
    save_form_draft(
        form,
        project=project,
        labeler=labeler,
        fields=fields,
        sequence=sequence,
        based_on=based_on,
    )


def empty_form_draft(form: Form, *, project: Project, labeler: User) -> None:
    """It was sent: what a slower request still brings of it is an older draft than this."""
    keep_form_draft(form, project=project, labeler=labeler, fields=[])


def form_draft_of(form: Form, *, project: Project, labeler: User) -> FormDraft | None:
    """What this labeler had filled in, or the empty form after it was sent."""
    return _of(form, project, labeler).first()


def _of(form: Form, project: Project, labeler: User) -> QuerySet[FormDraft]:
    return FormDraft.objects.filter(form=form, project=project, labeler=labeler)
