"""Conversations with the deployed policy: one's own to go on with, everybody's to be read."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, F, Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling import conversations, guidelines
from labeling.conversations import Progress, Standing, State
from labeling.drafts import DraftRefused
from labeling.form_drafts import Form, form_draft_of
from labeling.forms.writing import kept_of_turn
from labeling.judgements import Judgement
from labeling.models import (
    RANKERS,
    Assignment,
    Completion,
    Conversation,
    FormDraft,
    Project,
    Ranking,
    Role,
    Turn,
)
from labeling.models.conversations import ConversationQuerySet
from labeling.rankings import can_be_corrected
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, role_in, signed_in
from labeling.views.desks import desk_in
from labeling.views.form_drafts import keep_by_hand, keep_sent
from labeling.whole_numbers import small_int

PAGE = 50
READ_ALL = (Role.REVIEWER, Role.MANAGER)
"""They see everybody's conversations; others their own."""
LONG = 20
"""Turns after which a model is likely to have lost the beginning."""
SLOW = 3.0
"""So many times what is usual (and a minute at least) is worth a word."""


@signed_in
@never_cache
@require_http_methods(["GET", "POST"])
def conversation_list(request: SignedIn, slug: str) -> HttpResponse:
    """One's conversations, or everybody's; a POST begins one, or goes on with the open one."""
    project = project_for(request, slug, *RANKERS)
    if request.method == "POST":
        try:
            begun = conversations.begin(project=project, labeler=request.user)
        except Refusal as refusal:
            messages.error(request, refusal.message)
            return redirect("conversation-list", slug)
        return redirect("conversation", slug, begun.pk)
    opening = Prefetch(
        "turns", Turn.objects.filter(number=1).select_related("prompt"), to_attr="opening"
    )
    rows = (
        _seen_by(request, project)
        .select_related("labeler")
        .annotate(length=Count("turns"))
        .prefetch_related(opening)
        .order_by(F("closed_at").desc(nulls_first=True), "-pk")
    )
    open_ones = Conversation.objects.filter(project=project, labeler=request.user, closed_at=None)
    page = {
        "project": project,
        "page": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "open": open_ones.first(),
    }
    return render(request, "labeling/conversation_list.html", page)


def _seen_by(request: SignedIn, project: Project) -> ConversationQuerySet:
    """The project's conversations that the person sees."""
    visible = Conversation.objects.visible_to(request.user, *RANKERS).filter(project=project)
    if role_in(project, request.user) in READ_ALL:
        return visible
    return visible.filter(labeler=request.user)


@signed_in
@never_cache
@require_GET
def conversation(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """The talk so far, and what is to be done now.

    A page that waits asks again with `seen`, what it shows: 204 while nothing changed.
    """
    project = project_for(request, slug, *RANKERS)
    rows = _seen_by(request, project).select_related("project__guidelines", "labeler")
    found = get_object_or_404(rows, pk=pk)
    comes = found.labeler_id == request.user.pk and not request.htmx
    if comes and guidelines.to_be_read(project=project, user=request.user):
        return redirect("guidelines", slug)
    return conversation_page(request, found)


def conversation_page(
    request: SignedIn,
    conversation: Conversation,
    *,
    said: Judgement | None = None,
    text: str = "",
    picked: int | None = None,
    refusal: Refusal | None = None,
    done: str = "",
) -> HttpResponse:
    """The page, or only its part that changes where htmx asks; led to by a redirect after a form.

    said: of a ranking that comes back, text and picked: of a turn, refusal: why it does. done: what
    was just done.
    """
    if request.method == "POST" and not request.htmx and refusal is None:
        return redirect("conversation", conversation.project.slug, conversation.pk)
    turn = conversations.last_turn(conversation)
    own = conversation.labeler_id == request.user.pk
    draft = _draft(conversation) if own and conversation.closed_at is None else None
    standing = _standing(turn, own=own and conversation.closed_at is None)
    page = {
        "project": conversation.project,
        "conversation": conversation,
        "own": own,
        "turn": turn,
        "state": None if standing is None else standing.state.name,
        "why": "" if standing is None else standing.why,
        "text": text or (dict(draft.content).get("text", "") if draft else ""),
        "sequence": draft.sequence if draft else 0,
        "picked": picked,
        "notice": refusal.message if refusal else "",
        "done": done,
        "long": turn is not None and turn.number >= LONG,
    }
    page["speaks"] = _speaks(conversation, standing, own=own)
    if turn is not None and standing is not None:
        page |= _at(conversation, turn, standing, said=said, own=own)
    asked = request.GET.get("seen")
    if request.htmx and asked is not None and asked == page.get("seen"):
        return HttpResponse(status=204)
    template = "labeling/conversation.html"
    if request.htmx:
        template += "#assignment"
    return render(request, template, page, status=refusal.status if refusal else 200)


def _draft(conversation: Conversation) -> FormDraft | None:
    """What the labeler typed and has not said, in this conversation or the one before."""
    project, labeler = conversation.project, conversation.labeler
    return form_draft_of(Form.TURN, project=project, labeler=labeler)


def _standing(turn: Turn | None, *, own: bool) -> Standing | None:
    """Where the last turn stands; whoever owns it takes up what is to be ranked."""
    if turn is None:
        return None
    return conversations.take_up(turn) if own else conversations.standing_of(turn)


def _speaks(conversation: Conversation, standing: Standing | None, *, own: bool) -> bool:
    """Whether the next turn is the person's who reads."""
    over = conversation.closed_at is not None or conversation.project.archived_at is not None
    return own and not over and (standing is None or standing.state == State.RANKED)


def _at(
    conversation: Conversation, turn: Turn, standing: Standing, *, said: Judgement | None, own: bool
) -> dict[str, Any]:
    """What the page shows of a conversation whose last turn stands there."""
    best = [] if standing.ranking is None else conversations.best_of(standing.ranking)
    shown: dict[str, Any] = {"talk": _talk(conversation, turn, best, own=own), "best": best}
    if standing.state == State.WAITING:
        shown |= _waiting(conversations.progress_of(turn))
    elif standing.assignment is not None and own and conversation.closed_at is None:
        shown["assignment"] = standing.assignment
        shown["desk"] = desk_in(conversation, standing.assignment, said=said)
    return shown


def _talk(
    conversation: Conversation, last: Turn, best: list[Completion], *, own: bool
) -> list[dict[str, Any]]:
    """Each turn: what was said, what it went on from, and one's own ranking of it.

    The last turn's prompt holds all that was said before.
    """
    said = last.prompt.messages
    rankings = Ranking.objects.current().filter(
        labeler=conversation.labeler_id, slate__request__turn__conversation=conversation
    )
    rankings = rankings.annotate(turn=F("slate__request__turn__number"))
    of_turn = {
        vars(ranking)["turn"]: ranking for ranking in rankings.select_related("assignment__project")
    }
    answers = [message for message in said if message["role"] == "assistant"]
    chosen = last.chosen or (best[0] if len(best) == 1 else None)
    if chosen is not None:
        answers.append({"role": "assistant", "content": chosen.text})
    talk: list[dict[str, Any]] = []
    for number, message in enumerate((m for m in said if m["role"] == "user"), 1):
        ranking = of_turn.get(number)
        talk.append(
            {
                "number": number,
                "said": message,
                "answer": answers[number - 1] if number <= len(answers) else None,
                "ranking": ranking if own else None,
                "can_be_corrected": ranking is not None and can_be_corrected(ranking),
            }
        )
    return talk


def _waiting(progress: Progress) -> dict[str, Any]:
    """How long it takes, in whole seconds, and what the page has seen."""
    usual = None if progress.usual is None else max(round(progress.usual), 1)
    slow = progress.seconds > max(SLOW * (progress.usual or 0.0), 60.0)
    return {
        "progress": progress,
        "usual": usual,
        "elapsed": int(progress.seconds),
        "slow": slow,
        "seen": f"{progress.there}-{progress.before}-{int(slow)}",
    }


def of_ranking(request: SignedIn, assignment: Assignment) -> Conversation | None:
    """The person's conversation in which this slot is shown, as the form's address says."""
    pk = small_int(request.GET.get("conversation", ""))
    if pk is None:
        return None
    mine = Conversation.objects.filter(labeler=request.user, project=assignment.project_id)
    in_it = mine.filter(turns__request__slate=assignment.slate_id)
    return in_it.select_related("project__guidelines", "labeler").filter(pk=pk).first()


def _own(request: SignedIn, slug: str, pk: int) -> Conversation:
    """A conversation of the person's. Raises Http404."""
    mine = Conversation.objects.visible_to(request.user, *RANKERS).filter(labeler=request.user)
    rows = mine.select_related("project__guidelines", "labeler")
    return get_object_or_404(rows, pk=pk, project__slug=slug)


@signed_in
@require_POST
def say(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """The labeler's next turn; what is refused comes back in the form."""
    mine = _own(request, slug, pk)
    text = request.POST.get("text", "")
    picked = small_int(request.POST.get("going_on_from", ""))
    number = small_int(request.POST.get("number", ""), most=10_000) or 0
    try:
        conversations.say(conversation=mine, number=number, text=text, going_on_from=picked)
    except Refusal as refusal:
        with suppress(DraftRefused):
            keep_by_hand(request, mine.project, Form.TURN, kept_of_turn)
        return conversation_page(request, mine, text=text, picked=picked, refusal=refusal)
    return conversation_page(request, mine, done=_("Said. The model is writing."))


@signed_in
@require_POST
def turn_draft(request: SignedIn, slug: str) -> HttpResponse:
    """Keep what is typed so far; without scripts the page comes again."""
    project = project_for(request, slug, *RANKERS)
    if "sequence" in request.POST:
        return keep_sent(request, project, Form.TURN, kept_of_turn)
    try:
        keep_by_hand(request, project, Form.TURN, kept_of_turn, asked=True)
        messages.success(request, _("Kept as a draft."))
    except DraftRefused as refusal:
        messages.error(request, refusal.message)
    mine = Conversation.objects.filter(project=project, labeler=request.user, closed_at=None)
    found = mine.first()
    if found is None:
        return redirect("conversation-list", slug)
    return redirect("conversation", slug, found.pk)


@signed_in
@require_POST
def ask_again(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Candidates anew, where there are none."""
    mine = _own(request, slug, pk)
    turn = conversations.last_turn(mine)
    try:
        if turn is not None:
            conversations.ask_again(turn=turn)
    except Refusal as refusal:
        return conversation_page(request, mine, refusal=refusal)
    return conversation_page(request, mine, done=_("Asked again. The model is writing."))


@signed_in
@require_POST
def close(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """The end of it; the rankings stay."""
    mine = _own(request, slug, pk)
    conversations.close(conversation=mine)
    messages.success(request, _("Closed. Its rankings count like all others."))
    return redirect("conversation-list", slug)
