"""Prompts that labelers write (InstructGPT, appendix A): plain, few-shot, user-based.

Near duplicates are pointed out before a prompt is stored, and share its split once it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import screening
from labeling.form_drafts import Form, empty_form_draft
from labeling.models import Project, Prompt, User
from labeling.near_duplicates import MOST_SHOWN, Near, group_beside, near_duplicates
from labeling.near_keys import root_of
from labeling.projects import refuse_archived
from labeling.prompts import (
    NewPrompt,
    PromptRefused,
    checked_text,
    content_hash,
    messages_of,
    new_prompt,
    store_batch,
)
from labeling.refusals import Refusal
from labeling.work import active_seconds, count_work, left_of_today

USE_CASES = (
    "generation",
    "open_qa",
    "brainstorming",
    "chat",
    "rewrite",
    "summarization",
    "classification",
    "other",
    "closed_qa",
    "extraction",
)
"""InstructGPT's table 1, the most frequent first."""
LEAST_EXAMPLES = 2
MOST_EXAMPLES = 20
LOOKED_AT = 2_000
"""Prompts whose categories are suggested: a project may have hundreds of thousands."""
MOST_LATEST = 5


class PromptsNotAsked(Refusal):
    """This project takes none."""

    code = "prompts_not_asked"
    sentence = gettext_lazy(
        "This project does not ask for prompts any more. What you wrote is still below."
    )


class KnownPrompt(Refusal):
    """Each prompt is in a project once. `prompt`: the one that is."""

    code = "prompt_known"
    sentence = gettext_lazy("This very prompt is here already. Change it, or write another.")

    def __init__(self, prompt: Prompt) -> None:
        """Keep the prompt that is there."""
        self.prompt = prompt
        super().__init__()


class NearDuplicatesFound(Refusal):
    """Something very much like it is there. `near`: what, the nearest first."""

    code = "near_duplicates"
    sentence = gettext_lazy(
        "There is something very much like it already. Change yours so that it asks for something "
        "else, or send it anyway."
    )

    def __init__(self, near: Sequence[Near]) -> None:
        """Keep what is to be shown."""
        self.near = near[:MOST_SHOWN]
        super().__init__()


@dataclass(frozen=True, kw_only=True)
class Example:
    """A query and its response."""

    query: str
    response: str


def few_shot_text(*, instruction: str, examples: Sequence[Example], query: str) -> str:
    """One prompt: what to do, how it was done for some queries, and the query to be answered.

    Raises PromptRefused with the field "instruction", "examples" or "query".
    """
    if not LEAST_EXAMPLES <= len(examples) <= MOST_EXAMPLES:
        raise PromptRefused(
            "examples",
            _("write %(least)d to %(most)d examples, each with its query and its response"),
            least=LEAST_EXAMPLES,
            most=MOST_EXAMPLES,
        )
    if any(not example.query.strip() or not example.response.strip() for example in examples):
        raise PromptRefused("examples", _("one lacks its query or its response; write both"))
    shown = [f"Q: {one.query.strip()}\nA: {one.response.strip()}" for one in examples]
    asked = f"Q: {checked_text('query', query).strip()}\nA:"
    return "\n\n".join([checked_text("instruction", instruction).strip(), *shown, asked])


def write_prompt(
    *,
    project: Project,
    by: User,
    kind: Prompt.Kind | str,
    text: str,
    system: str = "",
    category: str = "",
    language: str = "",
    seconds: float = 0.0,
    seen: Collection[int] = (),
) -> Prompt:
    """Store a prompt that `by` wrote; it is live at once, and their draft has served.

    Sent again by them, it is the same row.

    seconds: active ones; nobody knows when a prompt was begun, but a day ends. seen: ids of near
    duplicates that were shown: where there are no others, it is stored all the same, in their
    split. Raises PromptRefused, KnownPrompt, NearDuplicatesFound, PromptsNotAsked, ProjectArchived;
    what `screening.refuse_held_back` does.
    """
    row = _row(kind=kind, text=text, system=system, category=category, language=language)
    digest = content_hash(row.messages)
    if mine := _known(project, by, digest):
        return mine  # whatever has changed since
    refuse_archived(project)
    if not project.asks_prompts:
        raise PromptsNotAsked
    screening.refuse_held_back(project=project, user=by)
    near = near_duplicates(project=project, text=root_of(row.messages))
    if any(one.prompt.pk not in seen for one in near[:MOST_SHOWN]):
        raise NearDuplicatesFound(near)
    beside = NewPrompt(
        messages=row.messages,
        category=row.category,
        language=row.language,
        kind=row.kind,
        group=group_beside(near),
    )
    with transaction.atomic():
        # One at a time of each person: the same form sent twice at once is stored and counted once.
        User.objects.select_for_update(no_key=True).get(pk=by.pk)
        if mine := _known(project, by, digest):
            return mine
        store_batch(project=project, batch=[beside], by=by, imported=None)
        made = Prompt.objects.get(project=project, content_hash=digest)
        active = active_seconds(seconds, most=left_of_today(by))
        count_work(project=project, labeler=by, category=made.category, prompts=1, seconds=active)
        empty_form_draft(Form.PROMPT, project=project, labeler=by)
    return made


def _row(*, kind: str, text: str, system: str, category: str, language: str) -> NewPrompt:
    """What is to be stored, checked. Raises PromptRefused."""
    turns = [{"role": "system", "content": system.strip()}] if system.strip() else []
    turns.append({"role": "user", "content": checked_text("text", text).strip()})
    if kind not in Prompt.Kind.values:
        raise PromptRefused("kind", _("choose what kind of prompt it is"))
    if kind == Prompt.Kind.USER_BASED and not category.strip():
        raise PromptRefused("category", _("say which use case it is about"))
    fields = {"kind": kind, "category": category, "language": language}
    return new_prompt({"messages": messages_of(turns), **fields})


def _known(project: Project, by: User, digest: str) -> Prompt | None:
    """The prompt where `by` wrote it before. Raises KnownPrompt where somebody else did."""
    there = Prompt.objects.filter(project=project, content_hash=digest)
    found = there.exclude(imported__isnull=False, imported__committed_at=None).first()
    if found is not None and (found.created_by_id != by.pk or not found.kind):
        raise KnownPrompt(found)
    return found


def use_cases(project: Project) -> list[str]:
    """The categories of the project's newest prompts, and InstructGPT's."""
    newest = Prompt.objects.live().filter(project=project).order_by("-pk")
    own = newest.values_list("category", flat=True)[:LOOKED_AT]
    return sorted({*own, *USE_CASES} - {""})


def latest_of(*, project: Project, labeler: User) -> list[Prompt]:
    """What the labeler wrote last."""
    mine = Prompt.objects.filter(project=project, created_by=labeler).exclude(kind="")
    return list(mine.order_by("-pk")[:MOST_LATEST])
