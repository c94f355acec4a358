"""Answers that labelers write: which prompt is whose turn, drafts, passed on, sent.

A task belongs to a labeler and a prompt. While it is open and its lease runs, nobody else is given
the prompt; what was typed stays with the labeler, whoever has the prompt by then.
"""

from __future__ import annotations

import time
from datetime import timedelta

from django.db import IntegrityError, models, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Greatest, Now
from django.utils.translation import gettext_lazy as _

from labeling.clock import from_now
from labeling.demonstrations import propose_demonstration, was_refused
from labeling.drafts import DraftRefused
from labeling.languages import readable_by
from labeling.models import Demonstration, Project, Prompt, Split, User, WritingTask
from labeling.projects import refuse_archived
from labeling.prompts import MAX_CHARACTERS
from labeling.refusals import Refusal
from labeling.work import active_seconds, count_work, gone_since, paid_seconds

LEASE = timedelta(hours=2)
"""Each draft starts it anew."""
TRIES = 10
"""Somebody else can be a moment faster; the next try finds the next prompt."""
LIVE = (Demonstration.State.WAITING, Demonstration.State.ACCEPTED, Demonstration.State.EDITED)
"""A prompt with one of these needs no other."""


class RefusedBefore(Refusal):
    """A reviewer said no to the same answer of somebody else: it would wait for nobody."""

    code = "refused_before"
    sentence = _(
        "Somebody wrote this very answer before, and a reviewer refused it. Write it in another "
        "way, or skip the prompt."
    )


class PromptWithdrawn(Refusal):
    """Nobody needs an answer any more."""

    code = "prompt_withdrawn"
    sentence = _(
        "This prompt was withdrawn while you wrote. What you wrote is kept in the list of your "
        "demonstrations; take the next prompt."
    )


class AlreadySent(Refusal):
    """What was sent can't be passed on."""

    code = "already_sent"
    sentence = _("You have sent this one already.")


def next_task(*, project: Project, labeler: User) -> WritingTask | None:
    """The labeler's open task, else one for the next free prompt; its lease starts anew.

    By priority, then as prompts are taken up. None: there is nothing to write, or it is archived.
    An open task without a word gives way where somebody else has the prompt by now.
    """
    if project.archived_at is not None:
        return None
    for _attempt in range(TRIES):
        try:
            with transaction.atomic():
                task = _held(project, labeler)
                if task is not None:
                    return task
                prompt = _next_prompt(project, labeler)
                if prompt is None:
                    return None
                if _is_free(prompt, project, labeler):
                    return _opened(project, prompt, labeler)
        except IntegrityError:
            continue  # another tab of this labeler was first
    return None


def _held(project: Project, labeler: User) -> WritingTask | None:
    """This labeler's open task, its lease renewed; None where there is none to go on with."""
    mine = WritingTask.objects.filter(
        project=project, labeler=labeler, state=WritingTask.State.OPEN
    ).select_related("prompt")
    task = mine.first()
    if task is None:
        return None
    if not task.text.strip():
        locked = Prompt.objects.select_for_update(no_key=True).get(pk=task.prompt_id)
        if not _is_free(locked, project, labeler):
            task.delete()
            return None
    mine.update(lease_expires_at=from_now(LEASE))
    task.refresh_from_db(fields=["lease_expires_at"])
    return task


def _next_prompt(project: Project, labeler: User) -> Prompt | None:
    """A free prompt, locked where the database locks rows; what others lock is passed over."""
    queue = _free(project, labeler).order_by("-priority", "shuffle", "pk")
    return queue.select_for_update(skip_locked=True, no_key=True, of=("self",)).first()


def _is_free(prompt: Prompt, project: Project, labeler: User) -> bool:
    """Look again with the lock in hand: somebody may have taken it before it was locked."""
    return _free(project, labeler).filter(pk=prompt.pk).exists()


def _free(project: Project, labeler: User) -> QuerySet[Prompt]:
    """Prompts that `labeler` may be given now, an open one of their own among them."""
    written = Demonstration.objects.filter(
        Q(imported=None) | Q(imported__committed_at__isnull=False),
        prompt=OuterRef("pk"),
        state__in=LIVE,
    )
    tasks = WritingTask.objects.filter(prompt=OuterRef("pk"))
    open_ones = tasks.filter(state=WritingTask.State.OPEN)
    held = open_ones.filter(lease_expires_at__gt=Now()).exclude(labeler=labeler)
    done = tasks.filter(labeler=labeler).exclude(state=WritingTask.State.OPEN)
    return (
        Prompt.objects.live()
        .filter(readable_by(labeler.languages), project=project, split=Split.TRAIN)
        .exclude(Exists(written))
        .exclude(Exists(held))
        .exclude(Exists(done))
    )


def _opened(project: Project, prompt: Prompt, labeler: User) -> WritingTask:
    """A new task. Raises IntegrityError where this labeler has an open one."""
    made = WritingTask.objects.create(project=project, prompt=prompt, labeler=labeler)
    WritingTask.objects.filter(pk=made.pk).update(lease_expires_at=from_now(LEASE))
    made.refresh_from_db(fields=["lease_expires_at"])
    return made


def is_written_by_another(task: WritingTask) -> bool:
    """Whether somebody else has sent an answer to the prompt: this one is taken all the same."""
    return (
        Demonstration.objects.live()
        .filter(prompt=task.prompt_id, state__in=LIVE)
        .exclude(labeler=task.labeler_id)
        .exists()
    )


def save_draft(
    *,
    task: WritingTask,
    text: str,
    sequence: int,
    based_on: int | None = None,
    seconds: float = 0.0,
) -> bool:
    """Keep what is written so far, and the prompt for its labeler.

    sequence: grows with each change. based_on: that of the draft that was changed, 0 for none; a
    tab that has not seen the newest draft never overwrites it (None: any older one is). False: not
    stored, because a newer one is there or the task is not open. Raises DraftRefused.
    """
    if len(text) > MAX_CHARACTERS or sequence < 0:
        raise DraftRefused
    seen = sequence - 1 if based_on is None else min(based_on, sequence - 1)
    still_open = WritingTask.objects.filter(pk=task.pk, state=WritingTask.State.OPEN)
    stored = still_open.filter(sequence__lte=seen).update(
        text=text,
        sequence=sequence,
        seconds=active_seconds(seconds),
        lease_expires_at=from_now(LEASE),
    )
    return bool(stored) or still_open.filter(sequence=sequence, text=text).exists()


def _keep(task: WritingTask, text: str, seconds: float) -> None:
    """Keep what could not be sent as the newest draft; an empty text overwrites none."""
    if not text.strip():
        return
    unsent = WritingTask.objects.filter(pk=task.pk).exclude(state=WritingTask.State.SENT)
    now = int(time.time() * 1000)
    unsent.update(
        text=text[:MAX_CHARACTERS],
        sequence=Greatest(F("sequence") + 1, Value(now), output_field=models.BigIntegerField()),
        seconds=active_seconds(seconds),
    )


def pass_on(*, task: WritingTask, reason: str = "", text: str = "", seconds: float = 0.0) -> None:
    """Leave the prompt to others; this labeler isn't given it again. Twice is once.

    text: what was written so far; it is kept. Raises AlreadySent.
    """
    with transaction.atomic():
        _keep(task, text, seconds or task.seconds)
        unsent = WritingTask.objects.filter(pk=task.pk).exclude(state=WritingTask.State.SENT)
        passed = WritingTask.State.PASSED
        if not unsent.update(state=passed, reason=reason.strip()[:200], lease_expires_at=None):
            raise AlreadySent


def send(*, task: WritingTask, text: str, seconds: float) -> Demonstration:
    """Propose what was written; it waits for a reviewer. Sent again, the same text is one row.

    It is taken in as well where somebody else has written for the prompt meanwhile, and where the
    labeler had passed it on. Another text of a task that was sent is another row, and counts as no
    more work. seconds: active ones. Raises PromptRefused; ProjectArchived, PromptWithdrawn and
    RefusedBefore, with which the text is kept as a draft.
    """
    text = text.replace("\r\n", "\n")
    active = paid_seconds(seconds, most=gone_since(task.created_at), labeler=task.labeler)
    try:
        if task.state != WritingTask.State.SENT or text != task.text:
            refuse_archived(task.project)
        if task.state != WritingTask.State.SENT:
            _refuse_withdrawn(task)
            if was_refused(prompt=task.prompt, text=text):
                raise RefusedBefore
    except Refusal:
        _keep(task, text, seconds)
        raise
    with transaction.atomic():
        unsent = WritingTask.objects.filter(pk=task.pk).exclude(state=WritingTask.State.SENT)
        sent_now = unsent.update(
            state=WritingTask.State.SENT,
            text=text,
            seconds=active,
            lease_expires_at=None,
        )
        made = propose_demonstration(prompt=task.prompt, text=text, labeler=task.labeler)
        WritingTask.objects.filter(pk=task.pk).update(demonstration=made)
        if sent_now:
            count_work(
                project=task.project,
                labeler=task.labeler,
                category=task.prompt.category,
                demonstrations=1,
                seconds=active,
            )
    return made


def _refuse_withdrawn(task: WritingTask) -> None:
    """Raise PromptWithdrawn, and take the task off its labeler's hands."""
    if task.prompt.withdrawn_at is None:
        return
    WritingTask.objects.filter(pk=task.pk, state=WritingTask.State.OPEN).update(
        state=WritingTask.State.PASSED, reason="withdrawn", lease_expires_at=None
    )
    raise PromptWithdrawn


def unsent_tasks(*, project: Project, labeler: User) -> QuerySet[WritingTask]:
    """What the labeler wrote and did not send, the newest first."""
    return (
        WritingTask.objects.filter(project=project, labeler=labeler)
        .exclude(state=WritingTask.State.SENT)
        .exclude(text="")
        .select_related("prompt")
        .order_by("-pk")
    )


def demonstrations_of(*, project: Project, labeler: User) -> QuerySet[Demonstration]:
    """What the labeler wrote here, the newest first, with the forms that reviewers made of it."""
    return (
        Demonstration.objects.filter(prompt__project=project, labeler=labeler)
        .select_related("prompt")
        .prefetch_related("reviewed_forms")
        .order_by("-pk")
    )
