"""A form while it is filled in, and one that is not taken. Knows nothing of which form it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.http import JsonResponse
from django.utils.translation import gettext as _

from labeling.drafts import DraftRefused
from labeling.form_drafts import MOST_SEQUENCE, Form, keep_form_draft, save_form_draft
from labeling.forms.writing import FieldsDraftForm, says_something
from labeling.models import Project
from labeling.views.access import SignedIn
from labeling.whole_numbers import small_int

Kept = Callable[[Iterable[tuple[object, object]]], list[tuple[str, str]]]
"""Of (name, value) what a draft keeps."""


def keep_by_hand(
    request: SignedIn, project: Project, form: Form, kept: Kept, *, asked: bool = False
) -> None:
    """Keep a whole form that was sent and is not taken; an empty one takes nothing's place.

    asked: its person asked for just that, so it is the newest. Else the page gives it back, and a
    draft that this page has not seen stays. Raises DraftRefused.
    """
    pairs = ((name, value) for name, values in request.POST.lists() for value in values)
    fields = kept(pairs)
    seen = small_int(request.POST.get("based_on", ""), most=MOST_SEQUENCE)
    if says_something(fields):
        keep_form_draft(
            form,
            project=project,
            labeler=request.user,
            fields=fields,
            based_on=None if asked else seen,
        )


def keep_sent(request: SignedIn, project: Project, form: Form, kept: Kept) -> JsonResponse:
    """Keep what the form holds so far. {"saved": false}: a newer draft is there, or it was sent."""
    sent = FieldsDraftForm(request.POST)
    if not sent.is_valid():
        message = _("It is too large, or not written as a draft is.")
        return JsonResponse({"code": "bad_draft", "message": message}, status=400)
    try:
        saved = save_form_draft(
            form,
            project=project,
            labeler=request.user,
            fields=kept(sent.cleaned_data["content"]),
            sequence=sent.cleaned_data["sequence"],
            based_on=sent.cleaned_data["based_on"],
        )
    except DraftRefused as refusal:
        answer = {"code": refusal.code, "message": refusal.message}
        return JsonResponse(answer, status=refusal.status)
    return JsonResponse({"saved": saved})
