"""Answers that labelers write: the next prompt, its draft, a preview, passed on, sent, listed."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling import scripts, writing
from labeling.forms.rankings import seconds_in
from labeling.forms.writing import AnswerDraftForm, PassForm, typed
from labeling.models import RANKERS, Project, WritingTask
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, signed_in
from labeling.views.desks import SHOWN_TURNS
from labeling.views.guidelines import unread_first
from labeling.views.practice import held_back_first
from labeling.views.rankings import MOST_SECONDS_UNSEEN
from labeling.work import done_today

PAGE = 25


def _page(
    request: SignedIn,
    project: Project,
    task: WritingTask | None,
    *,
    text: str | None = None,
    preview: bool = False,
    done: str = "",
    why: Refusal | None = None,
) -> HttpResponse:
    """The page, or only its part that changes where htmx asks.

    text: of a form that comes back. why: what is wrong with it. done: what was just done.
    """
    page: dict[str, object] = {"project": project, "task": task, "done": done}
    page["script_names"] = {name: str(label) for name, label in scripts.NAMES.items()}
    page["today"] = done_today(project=project, labeler=request.user, what="demonstrations")
    if task is not None:
        written = task.text if text is None else text
        page |= {
            "text": written,
            "preview": preview,
            "problem": why.message if why else "",
            "earlier": task.prompt.messages[:-SHOWN_TURNS],
            "turns": task.prompt.messages[-SHOWN_TURNS:],
            "pass_form": PassForm(),
            "meanwhile": writing.is_written_by_another(task),
            **_measures(task, written),
        }
    template = "labeling/demonstration_write.html" + ("#writing" if request.htmx else "")
    return render(request, template, page, status=why.status if why else 200)


def _measures(task: WritingTask, text: str) -> dict[str, object]:
    """How long the answer is, and whether it is written like the prompt."""
    asked, answer = scripts.script_of(task.prompt.text), scripts.measures_of(text)
    return {
        "measures": answer,
        "asked_script": asked,
        "other_script": bool(asked and answer.script and asked != answer.script),
        "asked_script_name": str(scripts.NAMES[asked]) if asked else "",
        "too_long": answer.tokens > task.project.max_new_tokens,
    }


@signed_in
@never_cache
@require_GET
def demonstration_write(request: SignedIn, slug: str) -> HttpResponse:
    """The next prompt to write for; the guidelines come first."""
    project = project_for(request, slug, *RANKERS)
    if not project.asks_demonstrations:
        return _page(request, project, None)
    if first := held_back_first(request, project):
        return first
    if first := unread_first(request, project, "demonstration-write"):
        return first
    task = writing.next_task(project=project, labeler=request.user)
    return _page(request, project, task)


def _own(request: SignedIn, slug: str, pk: int) -> WritingTask:
    """One of the person's own tasks. Raises Http404."""
    project = project_for(request, slug, *RANKERS)
    mine = WritingTask.objects.filter(project=project, labeler=request.user)
    return get_object_or_404(mine.select_related("prompt", "project__guidelines", "labeler"), pk=pk)


def _following(request: SignedIn, project: Project, *, done: str) -> HttpResponse:
    """On to the next prompt: at once for htmx, by a redirect for a plain form."""
    if not request.htmx:
        messages.success(request, done)
        return redirect("demonstration-write", project.slug)
    if first := held_back_first(request, project):
        return first
    asked = project.asks_demonstrations
    task = writing.next_task(project=project, labeler=request.user) if asked else None
    return _page(request, project, task, done=done)


def _seconds(request: SignedIn, task: WritingTask) -> float:
    """Active ones, as the page counted them; without scripts the time since it was given out."""
    since = (timezone.now() - task.created_at).total_seconds()
    return seconds_in(request.POST, otherwise=min(max(since, 0.0), MOST_SECONDS_UNSEEN))


@signed_in
@require_POST
def demonstration_send(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Send the answer to the reviewers, and go on."""
    task = _own(request, slug, pk)
    text = typed(request.POST.get("text", ""))
    try:
        writing.send(task=task, text=text, seconds=_seconds(request, task))
    except Refusal as refusal:
        return _page(request, task.project, task, text=text, why=refusal)
    done = _("Sent: a reviewer looks at it next.")
    return _following(request, task.project, done=done)


@signed_in
@require_POST
def demonstration_pass(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Leave the prompt to others; what was written is kept."""
    task = _own(request, slug, pk)
    form = PassForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    text = typed(request.POST.get("text", ""))
    try:
        writing.pass_on(task=task, reason=reason, text=text, seconds=_seconds(request, task))
    except Refusal as refusal:
        return _page(request, task.project, task, text=text, why=refusal)
    return _following(request, task.project, done=_("Skipped."))


@signed_in
@require_POST
def demonstration_preview(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """The text as readers will see it: a fragment for htmx, else the page with it below."""
    task = _own(request, slug, pk)
    text = typed(request.POST.get("text", ""))
    if request.htmx:
        return render(request, "labeling/demonstration_write.html#shown", {"text": text})
    return _page(request, task.project, task, text=text, preview=True)


@signed_in
@require_POST
def demonstration_draft(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Keep what is written so far.

    For the script {"saved": false}: a newer draft is there, or it was sent. Without scripts the
    page comes again.
    """
    task = _own(request, slug, pk)
    if "sequence" not in request.POST:
        return _kept_by_hand(request, task)
    form = AnswerDraftForm(request.POST)
    if not form.is_valid():
        message = _("It is too large, or not written as a draft is.")
        return JsonResponse({"code": "bad_draft", "message": message}, status=400)
    text, seconds = form.cleaned_data["content"]
    try:
        saved = writing.save_draft(
            task=task,
            text=text,
            sequence=form.cleaned_data["sequence"],
            based_on=form.cleaned_data["based_on"],
            seconds=seconds,
        )
    except Refusal as refusal:
        answer = {"code": refusal.code, "message": refusal.message}
        return JsonResponse(answer, status=refusal.status)
    return JsonResponse({"saved": saved})


def _kept_by_hand(request: SignedIn, task: WritingTask) -> HttpResponse:
    """The button "Keep as a draft", where scripts are off."""
    now = int(timezone.now().timestamp() * 1000)
    try:
        saved = writing.save_draft(
            task=task, text=typed(request.POST.get("text", "")), sequence=now, seconds=task.seconds
        )
    except Refusal as refusal:
        return _page(request, task.project, task, why=refusal)
    if saved:
        messages.success(request, _("Kept as a draft."))
    return redirect("demonstration-write", task.project.slug)


@signed_in
@require_GET
def my_demonstrations(request: SignedIn, slug: str) -> HttpResponse:
    """What the person wrote in this project and what became of it; drafts that were kept."""
    project = project_for(request, slug, *RANKERS)
    mine = writing.demonstrations_of(project=project, labeler=request.user)
    page = {
        "project": project,
        "page": Paginator(mine, PAGE).get_page(request.GET.get("page")),
        "unsent": writing.unsent_tasks(project=project, labeler=request.user)[:PAGE],
    }
    return render(request, "labeling/my_demonstrations.html", page)
