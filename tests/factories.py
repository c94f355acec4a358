"""Rows for tests, made by the product's own verbs. Each call makes something new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from django.db import transaction
from django.utils import timezone

from labeling import known_answers
from labeling.completions import (
    NewCompletion,
    add_completions,
    source_for,
)
from labeling.judgements import Judgement
from labeling.leasing import lease_next
from labeling.models import (
    Assignment,
    Completion,
    Demonstration,
    Import,
    Project,
    Prompt,
    Purpose,
    Ranking,
    Role,
    Slate,
    Source,
    Split,
    Text,
    User,
    WritingTask,
)
from labeling.people import create_user, set_role
from labeling.projects import create_project
from labeling.prompts import NewPrompt, add_prompts, content_hash, messages_of, split_for
from labeling.rankings import submit_ranking
from labeling.slates import give_slot, open_slate
from labeling.texts import NewText, store_texts
from labeling.work import LEEWAY
from labeling.writing import next_task

PASSWORD = "correct horse battery staple"
_numbers = count(1)


def make_user(username: str = "", *, superuser: bool = False, password: bool = False) -> User:
    """A person; with a password (PASSWORD, slow to hash) only where a test signs in by form."""
    return create_user(
        username=username or f"person{next(_numbers)}",
        password=PASSWORD if password else None,
        superuser=superuser,
    )


def make_project(*, by: User | None = None, name: str = "", **settings: Any) -> Project:
    """A project with K = 4; `by` is its manager."""
    return create_project(by=by, name=name or f"Project {next(_numbers)}", **settings)


def make_member(project: Project, role: Role | str, username: str = "") -> User:
    """A person with this role in `project`."""
    user = make_user(username)
    set_role(project=project, user=user, role=role)
    return user


def make_labeler(project: Project, username: str = "") -> User:
    """A labeler of `project`."""
    return make_member(project, Role.LABELER, username)


def make_manager(project: Project, username: str = "") -> User:
    """A manager of `project`."""
    return make_member(project, Role.MANAGER, username)


def make_researcher(project: Project, username: str = "") -> User:
    """A researcher of `project`."""
    return make_member(project, Role.RESEARCHER, username)


def make_prompt(
    project: Project,
    text: str | list[dict[str, str]] = "",
    *,
    split: Split | str | None = Split.TRAIN,
    **fields: Any,
) -> Prompt:
    """A prompt whose text hashes into `split` (None: whatever comes). A given text keeps its own.

    text: the user's turn or a list of messages.
    """
    messages = messages_of(text or _text_for(split))
    add_prompts(project=project, rows=[NewPrompt(messages=messages, **fields)])
    return Prompt.objects.get(project=project, content_hash=content_hash(messages))


def _text_for(split: Split | str | None) -> str:
    """A new text of that split."""
    while True:
        text = f"What is the number {next(_numbers)} good for?"
        if split is None or split_for(text) == split:
            return text


def make_text(project: Project, text: str = "") -> Text:
    """A text of a file that was taken in."""
    file = Import.objects.create(
        project=project,
        kind=Import.Kind.TEXTS,
        state=Import.State.COMMITTED,
        committed_at=timezone.now(),
        format="text",
        file_name="texts.txt",
    )
    row = NewText(text=text or f"The story of number {next(_numbers)}.")
    store_texts(project=project, batch=[row], imported=file)
    return Text.objects.get(imported=file)


def make_source(
    project: Project, name: str = "base", kind: Source.Kind | str = Source.Kind.BASE
) -> Source:
    """A source of `project`; the same name is the same row."""
    return source_for(project=project, kind=kind, name=name)


def make_completions(
    prompt: Prompt, texts: Sequence[str] | int = 4, *, source: Source | None = None
) -> list[Completion]:
    """Completions of `prompt`: these texts, or so many."""
    if isinstance(texts, int):
        texts = [f"Answer {next(_numbers)}." for _ in range(texts)]
    source = source or make_source(prompt.project)
    return add_completions(
        prompt=prompt,
        completions=[
            NewCompletion(source=source, external_id=f"factory-{next(_numbers)}", text=text)
            for text in texts
        ],
    )


def make_slate(
    project: Project,
    texts: Sequence[str] | int | None = None,
    *,
    prompt: Prompt | None = None,
    source: Source | None = None,
    purpose: Purpose | str = Purpose.TRAINING,
    **fields: Any,
) -> Slate:
    """A slate of K new completions (or these texts) for a new prompt (or this one)."""
    prompt = prompt or make_prompt(project)
    completions = make_completions(prompt, project.k if texts is None else texts, source=source)
    return open_slate(prompt=prompt, completions=completions, purpose=purpose, **fields)


def make_assignment(project: Project, labeler: User) -> Assignment:
    """What `labeler` has to rank next, leased; a slate is made where there is none."""
    assignment = lease_next(project=project, labeler=labeler)
    if assignment is None:
        make_slate(project)
        assignment = lease_next(project=project, labeler=labeler)
    assert assignment is not None
    return assignment


def make_ranking(
    project: Project,
    labeler: User | None = None,
    ranks: Sequence[int] | Mapping[int, int] | None = None,
    *,
    assignment: Assignment | None = None,
    seconds: float = 12.5,
    **said: Any,
) -> Ranking:
    """A submitted ranking: `ranks` in the slate's canonical order (1, 2, 3 … where None).

    said: what else the judgement holds.
    """
    labeler = labeler or make_labeler(project)
    assignment = assignment or make_assignment(project, labeler)
    if seconds > LEEWAY:  # it was given out so long ago
        assignment.opened_at = timezone.now() - timedelta(seconds=seconds)
        assignment.save(update_fields=["opened_at"])
    ids = list(assignment.slate.items.values_list("completion_id", flat=True))
    if ranks is None:
        ranks = range(1, len(ids) + 1)
    if not isinstance(ranks, Mapping):
        ranks = dict(zip(ids, ranks, strict=True))
    return submit_ranking(
        assignment=assignment,
        labeler=labeler,
        token=assignment.lease_token,
        judgement=Judgement(ranks=ranks, **said),
        seconds=seconds,
    )


def make_item(
    project: Project,
    purpose: Purpose | str = Purpose.GOLD,
    ranks: Sequence[int] | None = None,
    *,
    explanation: str = "",
    prompt: Prompt | None = None,
    by: User | None = None,
) -> Slate:
    """An item with a known answer: `ranks` in the slate's canonical order (None: 1, 2, 3 …)."""
    prompt = prompt or make_prompt(project)
    completions = make_completions(prompt, len(ranks) if ranks else project.k)
    places = ranks or range(1, len(completions) + 1)
    return known_answers.make_item(
        prompt=prompt,
        ranks={one.pk: place for one, place in zip(completions, places, strict=True)},
        purpose=purpose,
        by=by or make_manager(project),
        explanation=explanation,
    )


def make_answer(slate: Slate, labeler: User, ranks: Sequence[int] | None = None) -> Ranking:
    """A labeler's ranking of a slate that was given to them alone; nothing else may be open."""
    with transaction.atomic():
        assignment = give_slot(slate=slate, labeler=labeler)
    return make_ranking(slate.project, labeler, ranks, assignment=assignment)


def make_demonstration(
    prompt: Prompt, text: str = "", labeler: User | None = None
) -> Demonstration:
    """A written answer to `prompt`."""
    from labeling.demonstrations import add_demonstration

    return add_demonstration(
        prompt=prompt, text=text or f"Demonstration {next(_numbers)}.", labeler=labeler
    )


def make_writing_task(project: Project, labeler: User) -> WritingTask:
    """What `labeler` has to write for now; a prompt is made where there is none."""
    task = next_task(project=project, labeler=labeler)
    if task is None:
        make_prompt(project)
        task = next_task(project=project, labeler=labeler)
    assert task is not None
    return task
