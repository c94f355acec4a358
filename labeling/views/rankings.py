"""Rankings: kept while they are made, submitted, looked at again, corrected."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling import assignments, conversations, drafts, leasing, rankings
from labeling.forms.rankings import DraftForm, judgement_in, seconds_in
from labeling.hidden_numbers import Of, hidden
from labeling.judgements import BadJudgement, Judgement
from labeling.models import (
    RANKERS,
    SCREENING,
    Assignment,
    Completion,
    CompletionFlag,
    Draft,
    Guidelines,
    PromptFlag,
    Purpose,
    Ranking,
    Slate,
)
from labeling.refusals import Refusal
from labeling.views import practice
from labeling.views.access import SignedIn, project_for, signed_in
from labeling.views.assignments import (
    HELD_BACK,
    assignment_for,
    desk_page,
    lease_token,
    next_page,
    stopped_page,
)
from labeling.views.conversations import conversation_page, of_ranking
from labeling.views.desks import LETTERS, correction_of, in_letters
from labeling.whole_numbers import small_int

PAGE = 25
EDITED = "✎"
"""In the place of a letter: what the labeler wrote."""
MOST_SECONDS_UNSEEN = 600.0
"""Without scripts nobody counts activity: the time since the prompt was opened, but no more."""


@signed_in
@require_POST
def submission(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Store the ranking and go on: to the next prompt, or with the conversation it is a turn of.

    A script that shows the next one already asks for JSON, see `_answer`.
    """
    assignment = assignment_for(request, slug, pk)
    by_script = request.headers.get("Accept") == "application/json"
    said = judgement_in(request.POST)
    seconds = seconds_in(request.POST, _seconds_since_opened(assignment))
    conversation = of_ranking(request, assignment)
    try:
        ranking = rankings.submit_ranking(
            assignment=assignment,
            labeler=request.user,
            token=lease_token(request),
            judgement=said,
            seconds=seconds,
            guidelines=_guidelines_shown(request, assignment),
        )
    except Refusal as refusal:
        if by_script:
            return _answer(request, assignment, refusal, said=said, seconds=seconds)
        if conversation is not None:
            return conversation_page(request, conversation, said=said, refusal=refusal)
        if not isinstance(refusal, BadJudgement):
            return stopped_page(request, assignment.project, refusal)
        return desk_page(
            request,
            assignment.project,
            assignment,
            said=said,
            notice=refusal.message,
            status=refusal.status,
        )
    if assignment.slate.purpose == Purpose.PRACTICE:
        practice.explain_later(request, assignment.project, ranking)
    if by_script:
        return _answer(request, assignment)
    if assignment.slate.purpose in SCREENING:
        return practice.on_from_item(request, assignment)
    if conversation is not None:
        return conversation_page(request, conversation, done=_("Ranked. What do you say next?"))
    return next_page(request, assignment.project, done=_("Submitted."))


def _answer(
    request: SignedIn,
    assignment: Assignment,
    refusal: Refusal | None = None,
    *,
    said: Judgement | None = None,
    seconds: float = 0.0,
) -> JsonResponse:
    """What became of a submission, and which slot is open now.

    {"open": its hidden number, or null}; where it was refused also why, and whether it is kept as a
    draft: its page is gone already.
    """
    kept = isinstance(refusal, (assignments.LeaseExpired, rankings.AlreadyRanked))
    kept = kept and not isinstance(refusal, assignments.NotGiven)
    if refusal is not None and said is not None and refusal.code != assignments.NotGiven.code:
        if not kept:
            drafts.keep_draft(
                slate=assignment.slate_id, labeler=request.user, judgement=said, seconds=seconds
            )
        kept = True
    try:
        following = leasing.open_next(project=assignment.project, labeler=request.user)
    except HELD_BACK:
        following = None  # the page asks for what is open, and is told why nothing is
    number = None if following is None else hidden(Of.ASSIGNMENT, following)
    answer: dict[str, object] = {"open": number}
    if refusal is None:
        return JsonResponse(answer)
    answer |= {"code": refusal.code, "message": refusal.message, "kept": kept}
    return JsonResponse(answer, status=refusal.status)


def _guidelines_shown(request: SignedIn, assignment: Assignment) -> Guidelines | None:
    """The version that the form was shown with; None where it doesn't say."""
    version = small_int(request.POST.get("guidelines", ""), most=10**6)
    if version is None:
        return None
    in_force = assignment.project.guidelines
    if in_force is not None and in_force.version == version:
        return in_force
    return assignment.project.guideline_versions.filter(version=version).first()


def _seconds_since_opened(assignment: Assignment) -> float:
    """Since this slot was opened, at most MOST_SECONDS_UNSEEN."""
    if assignment.opened_at is None:
        return 0.0
    since = (timezone.now() - assignment.opened_at).total_seconds()
    return min(max(since, 0.0), MOST_SECONDS_UNSEEN)


@signed_in
@require_POST
def draft(request: SignedIn, slug: str, pk: int) -> JsonResponse:
    """Keep a ranking under way. {"saved": false}: a newer one is there, or it was submitted."""
    assignment = assignment_for(request, slug, pk)
    try:
        assignments.refuse_strangers(assignment, request.user, lease_token(request))
    except Refusal as refusal:
        return _refused(refusal)
    return _kept(request, assignment.slate)


@signed_in
@require_POST
def correction_draft(request: SignedIn, slug: str, pk: int) -> JsonResponse:
    """Keep a correction under way. {"saved": false}: a newer one is there, or it was corrected."""
    found = _own(request, slug, pk)
    return _kept(request, found.slate, correcting=found)


def _kept(request: SignedIn, slate: Slate, correcting: Ranking | None = None) -> JsonResponse:
    """Store the draft that the form holds."""
    form = DraftForm(request.POST)
    if not form.is_valid():
        message = _("It is too large, or not written as a draft is.")
        return JsonResponse({"code": "bad_draft", "message": message}, status=400)
    judgement, seconds = form.cleaned_data["content"]
    try:
        saved = drafts.save_draft(
            slate=slate,
            labeler=request.user,
            sequence=form.cleaned_data["sequence"],
            based_on=form.cleaned_data["based_on"],
            judgement=judgement,
            seconds=seconds,
            correcting=correcting,
        )
    except Refusal as refusal:
        return _refused(refusal)
    return JsonResponse({"saved": saved})


def _refused(refusal: Refusal) -> JsonResponse:
    """A refusal for the page's script."""
    return JsonResponse({"code": refusal.code, "message": refusal.message}, status=refusal.status)


@signed_in
@require_GET
def my_rankings(request: SignedIn, slug: str) -> HttpResponse:
    """What the person submitted in this project, newest first."""
    project = project_for(request, slug, *RANKERS)
    mine = (
        Ranking.objects.current()
        .filter(labeler=request.user, slate__project=project)
        .select_related("slate__prompt", "assignment")
        .prefetch_related("ranks__completion", "slate__items")
        .order_by("-pk")
    )
    page = Paginator(mine, PAGE).get_page(request.GET.get("page"))
    rows = [{"ranking": ranking, "order": order_of(ranking)} for ranking in page]
    kept = drafts.too_late(project=project, labeler=request.user)[:PAGE]
    late = [
        {"draft": draft, "texts": _by_rank(draft), "said": drafts.drafted(draft)} for draft in kept
    ]
    shown = {"project": project, "page": page, "rows": rows, "late": late}
    return render(request, "labeling/my_rankings.html", shown)


@signed_in
@never_cache
@require_GET
def kept(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """What came too late, in full, beside what it was said of."""
    project = project_for(request, slug, *RANKERS)
    draft = get_object_or_404(drafts.too_late(project=project, labeler=request.user), pk=pk)
    said = drafts.drafted(draft)
    items = [_kept_of(item.completion, said) for item in draft.slate.items.all()]
    page = {
        "project": project,
        "draft": draft,
        "said": said,
        "items": sorted(items, key=lambda item: item["rank"] or len(items) + 1),
        "prompt_flags": [flag.label for flag in PromptFlag if flag.value in said.prompt_flags],
    }
    return render(request, "labeling/kept_draft.html", page)


def _kept_of(completion: Completion, said: Judgement) -> dict[str, Any]:
    """What was said of one completion; rank None: it had no place yet."""
    flags = said.flags.get(completion.pk, frozenset())
    return {
        "text": completion.text,
        "rank": said.ranks.get(completion.pk),
        "likert": said.likert.get(completion.pk),
        "flags": [flag.label for flag in CompletionFlag if flag.value in flags],
        "edit": said.edits.get(completion.pk, ""),
    }


def _by_rank(draft: Draft) -> list[dict[str, object]]:
    """The completions that a draft had placed, best first."""
    ranks = drafts.drafted(draft).ranks
    texts = [
        {"rank": ranks[item.completion_id], "text": item.completion.text}
        for item in draft.slate.items.all()
        if item.completion_id in ranks
    ]
    return sorted(texts, key=itemgetter("rank"))


def order_of(ranking: Ranking) -> str:
    """A ranking in letters, as the labeler saw them: "B > A = D > C"."""
    letter_of = _letters(ranking)
    return in_letters(
        [
            (ranked.rank, letter_of.get(ranked.completion_id, EDITED))
            for ranked in ranking.ranks.all()
        ]
    )


def _letters(ranking: Ranking) -> dict[int, str]:
    """The letter under which each completion was shown, by its id, in the order shown."""
    items = list(ranking.slate.items.all())
    shown = [items[int(position)].completion_id for position in ranking.assignment.order]
    return dict(zip(shown, LETTERS, strict=False))


@signed_in
@require_GET
def undo(request: SignedIn, slug: str) -> HttpResponse:
    """The last submission once more, as long as it can be corrected."""
    project = project_for(request, slug, *RANKERS)
    last = rankings.latest_of(project=project.pk, labeler=request.user)
    if last is None:
        messages.info(request, _("There is no submission that can still be corrected."))
        return redirect("rank", slug)
    return redirect("ranking", slug, last.pk)


@signed_in
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def ranking(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """One of the person's own rankings; a POST puts a corrected one in its place."""
    found = _own(request, slug, pk)
    said, problem, status = None, "", 200
    if request.method == "POST":
        said = judgement_in(request.POST)
        try:
            stands = rankings.correct_ranking(
                ranking=found,
                labeler=request.user,
                judgement=said,
                seconds=found.seconds + seconds_in(request.POST, 0.0),
            )
        except Refusal as refusal:
            problem, status = refusal.message, refusal.status
        else:
            messages.success(request, _("The ranking as you corrected it stands now."))
            conversation = conversations.open_at(stands)
            if conversation is not None:
                return redirect("conversation", slug, conversation.pk)
            return redirect("rank", slug)
    desk = correction_of(found, request.user, said=said)
    page = {
        "project": found.assignment.project,
        "ranking": found,
        "problem": problem,
        "unsaved": desk.sequence > 0 and said is None,
        "until": rankings.correctable_until(found),
        "may_correct": rankings.can_be_corrected(found),
        "desk": desk,
    }
    return render(request, "labeling/ranking.html", page, status=status)


def _own(request: SignedIn, slug: str, pk: int) -> Ranking:
    """A ranking that the person submitted. Raises Http404."""
    project = project_for(request, slug, *RANKERS)
    own = Ranking.objects.filter(slate__project=project, labeler=request.user)
    return get_object_or_404(
        own.select_related("slate__prompt", "assignment__project__guidelines"), pk=pk
    )
