"""After a practice item: what the labeler said beside what is right, and on to the next."""

from __future__ import annotations

from itertools import combinations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRedirect

from labeling import screening
from labeling.decisions import decided, decision_of
from labeling.models import RANKERS, Assignment, Project, Purpose, Ranking
from labeling.rankings import ranks_of
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, signed_in
from labeling.views.desks import in_letters, lettered


def _key(project: Project) -> str:
    """Where a session keeps the practice ranking that is not explained yet."""
    return f"practice-{project.pk}"


def explain_later(request: SignedIn, project: Project, ranking: Ranking) -> None:
    """Keep in the session that this one is to be explained before the next prompt."""
    request.session[_key(project)] = ranking.pk


def to_be_explained(request: SignedIn, project: Project) -> int | None:
    """The id of the practice ranking that is to be explained now, once."""
    if _key(project) not in request.session:
        return None
    return int(request.session.pop(_key(project)))


def explanation_first(request: SignedIn, project: Project, pk: int) -> HttpResponse:
    """To what is right of a practice item."""
    return _to(request, reverse("practice-answer", args=[project.slug, pk]))


def on_from_item(request: SignedIn, assignment: Assignment) -> HttpResponse:
    """From a practice or quiz item: to its explanation, to the next item, or to work."""
    project = assignment.project
    explained = to_be_explained(request, project)
    if explained is not None:
        return explanation_first(request, project, explained)
    membership = screening.labeler_in(project=project, user=request.user)
    if membership is not None and membership.accepted_at is not None:
        messages.success(
            request, _("You passed the quiz, welcome. From here on your rankings count.")
        )
    return _to(request, reverse("rank", args=[project.slug]))


def held_back_first(request: SignedIn, project: Project) -> HttpResponse | None:
    """To the ranking page, which says why, for whom other work does not come yet; else None."""
    try:
        screening.refuse_held_back(project=project, user=request.user)
    except Refusal as refusal:
        messages.info(request, refusal.message)
        return _to(request, reverse("rank", args=[project.slug]))
    return None


def _to(request: SignedIn, address: str) -> HttpResponse:
    """A whole page, whether htmx asks or not."""
    return HttpResponseClientRedirect(address) if request.htmx else redirect(address)


@signed_in
@never_cache
@require_GET
def practice_answer(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """One of the person's own practice rankings beside the known answer."""
    project = project_for(request, slug, *RANKERS)
    own = Ranking.objects.filter(
        slate__project=project, slate__purpose=Purpose.PRACTICE, labeler=request.user
    )
    ranking = get_object_or_404(own.select_related("slate__prompt", "assignment__slate"), pk=pk)
    decision = decision_of(ranking.slate)
    said, right = ranks_of(ranking), decided(decision) if decision else {}
    letters = lettered(ranking.assignment)
    items = [
        {"letter": letter, "text": one.text, "said": said.get(one.pk), "right": right.get(one.pk)}
        for letter, one in letters
    ]
    page = {
        "project": project,
        "ranking": ranking,
        "turns": ranking.slate.prompt.messages,
        "items": items,
        "said": in_letters((said[one.pk], letter) for letter, one in letters if one.pk in said),
        "right": in_letters((right[one.pk], letter) for letter, one in letters if one.pk in right),
        "explanation": decision.explanation if decision else "",
        "differences": differences([(name, one.pk) for name, one in letters], said, right),
    }
    return render(request, "labeling/practice_answer.html", page)


def differences(
    letters: list[tuple[str, int]], said: dict[int, int], right: dict[int, int]
) -> list[dict[str, object]]:
    """The pairs that are untied in `right` and otherwise in `said`: better, worse, tied or not."""
    found: list[dict[str, object]] = []
    for (one, pk), (other, other_pk) in combinations(letters, 2):
        if pk not in right or other_pk not in right or right[pk] == right[other_pk]:
            continue
        first, second = (pk, other_pk) if right[pk] < right[other_pk] else (other_pk, pk)
        better, worse = (one, other) if first == pk else (other, one)
        if said[first] >= said[second]:
            tied = said[first] == said[second]
            found.append({"better": better, "worse": worse, "tied": tied})
    return found
