"""Prompts that labelers write: plain, few-shot, user-based; near duplicates are shown first."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from labeling import prompt_writing
from labeling.differences import side_by_side
from labeling.drafts import DraftRefused
from labeling.form_drafts import Form, form_draft_of
from labeling.forms.rankings import seconds_in
from labeling.forms.writing import (
    WrittenPrompt,
    drafted_prompt,
    kept_of_prompt,
    language_choices,
    written_prompt,
)
from labeling.models import RANKERS, Project, Prompt
from labeling.prompt_writing import Example, NearDuplicatesFound
from labeling.prompts import PromptRefused
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, signed_in
from labeling.views.form_drafts import keep_by_hand, keep_sent
from labeling.views.guidelines import unread_first
from labeling.views.practice import held_back_first
from labeling.work import done_today


@signed_in
@never_cache
@require_http_methods(["GET", "POST"])
def prompt_write(request: SignedIn, slug: str) -> HttpResponse:
    """A form for one prompt; sent, it is live at once and the form is empty again."""
    project = project_for(request, slug, *RANKERS)
    if request.method == "GET":
        first = held_back_first(request, project)
        if first is None and project.asks_prompts:
            first = unread_first(request, project, "prompt-write")
        return first or _page(request, project)
    written = written_prompt(request.POST)
    if "more" in request.POST:
        examples = [*written.examples, Example(query="", response="")]
        return _page(request, project, replace(written, examples=examples))
    try:
        prompt_writing.write_prompt(
            project=project,
            by=request.user,
            kind=written.kind,
            text=written.whole_text,
            system=written.system,
            category=written.category,
            language=written.language,
            seconds=seconds_in(request.POST, otherwise=0.0),
            seen=written.seen if "all_the_same" in request.POST else (),
        )
    except Refusal as refusal:
        with suppress(DraftRefused):
            keep_by_hand(request, project, Form.PROMPT, kept_of_prompt)
        return _page(request, project, written, why=refusal)
    done = _("Sent: the prompt is live.")
    if request.htmx:
        return _page(request, project, WrittenPrompt(kind=written.kind), done=done)
    messages.success(request, done)
    return redirect("prompt-write", slug)


@signed_in
@require_POST
def prompt_draft(request: SignedIn, slug: str) -> HttpResponse:
    """Keep what the form holds so far.

    For the script {"saved": false}: a newer draft is there, or it was sent. Without scripts the
    page comes again.
    """
    project = project_for(request, slug, *RANKERS)
    if "sequence" not in request.POST:
        return _kept_by_hand(request, project)
    return keep_sent(request, project, Form.PROMPT, kept_of_prompt)


def _kept_by_hand(request: SignedIn, project: Project) -> HttpResponse:
    """The button "Keep as a draft", where scripts are off."""
    try:
        keep_by_hand(request, project, Form.PROMPT, kept_of_prompt, asked=True)
    except DraftRefused as refusal:
        return _page(request, project, written_prompt(request.POST), why=refusal)
    messages.success(request, _("Kept as a draft."))
    return redirect("prompt-write", project.slug)


def _page(
    request: SignedIn,
    project: Project,
    written: WrittenPrompt | None = None,
    *,
    done: str = "",
    why: Refusal | None = None,
) -> HttpResponse:
    """The page, or only its part that changes where htmx asks. why: the form comes back.

    written: what the form holds (None: what was kept as a draft).
    """
    draft = form_draft_of(Form.PROMPT, project=project, labeler=request.user)
    content = draft.content if draft else []
    written = written or drafted_prompt(content)
    page = {
        "project": project,
        "sequence": draft.sequence if draft else 0,
        "kept": bool(content),
        "seconds": seconds_in(dict(content), otherwise=0.0),
        "written": written,
        "done": done,
        "problem": why.message if why else "",
        "field": why.field if isinstance(why, PromptRefused) else "",
        "near": _compared(written, why) if isinstance(why, NearDuplicatesFound) else [],
        "kinds": Prompt.Kind,
        "use_cases": prompt_writing.use_cases(project),
        "languages": language_choices(),
        "latest": prompt_writing.latest_of(project=project, labeler=request.user),
        "today": done_today(project=project, labeler=request.user, what="prompts"),
    }
    template = "labeling/prompt_write.html" + ("#writing" if request.htmx else "")
    return render(request, template, page, status=why.status if why else 200)


def _compared(written: WrittenPrompt, why: NearDuplicatesFound) -> list[dict[str, object]]:
    """What was written beside each near duplicate, the words that differ marked."""
    return [
        {
            "prompt": one.prompt,
            "percent": int(one.percent),
            "sides": side_by_side(written.whole_text.strip(), one.text),
        }
        for one in why.near
    ]
