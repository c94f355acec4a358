"""Items with a known answer: listed with how labelers do, made, changed, pasted, withdrawn."""

from __future__ import annotations

from io import BytesIO

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling import gold, known_answers
from labeling.decisions import decided, decision_of
from labeling.formats import jsonl
from labeling.formats.lines import Problem
from labeling.forms.known_answers import AnswerForm, PasteForm
from labeling.models import (
    KNOWN_ANSWERS,
    Completion,
    Project,
    Prompt,
    Role,
    Slate,
)
from labeling.prompts import PromptRefused
from labeling.refusals import Refusal
from labeling.standings import percent_of
from labeling.views.access import SignedIn, project_for, role_in, signed_in
from labeling.views.desks import LETTERS, in_letters

MAKERS = (Role.REVIEWER, Role.MANAGER)
PAGE = 50
MOST_ANSWERS = 100
MOST_PROBLEMS = 100


@signed_in
@require_GET
def known_answer_list(request: SignedIn, slug: str) -> HttpResponse:
    """The project's items, those that labelers fail marked."""
    project = project_for(request, slug, *MAKERS)
    purpose = request.GET.get("purpose", "")
    found = Slate.objects.items().filter(project=project)
    if purpose in KNOWN_ANSWERS:
        found = found.filter(purpose=purpose)
    page = Paginator(
        found.select_related("prompt").order_by("withdrawn_at", "purpose", "pk"), PAGE
    ).get_page(request.GET.get("page"))
    did = known_answers.how_labelers_did(list(page))
    shown = {
        "project": project,
        "page": page,
        "rows": [
            {"item": item, "did": did[item.pk], "percent": percent_of(did[item.pk].share)}
            for item in page
        ],
        "purpose": purpose,
        "purposes": [(use.value, use.label) for use in KNOWN_ANSWERS],
        "any": found.exists() or bool(purpose),
        "running_out": gold.running_out(project),
        "manages": role_in(project, request.user) == Role.MANAGER,
    }
    return render(request, "labeling/known_answer_list.html", shown)


def _item(project: Project, pk: int) -> Slate:
    """One of the project's items. Raises Http404."""
    items = Slate.objects.items().filter(project=project)
    return get_object_or_404(items.select_related("prompt__project", "repeats"), pk=pk)


@signed_in
@require_http_methods(["GET", "POST"])
def known_answer(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """One item with its answer and what labelers said; a POST changes the answer."""
    project = project_for(request, slug, *MAKERS)
    item = _item(project, pk)
    decision = decision_of(item)
    completions = [row.completion for row in item.items.select_related("completion")]
    form = AnswerForm(
        request.POST or None,
        completions=completions,
        right=decided(decision) if decision else None,
        makes=False,
        initial={"explanation": decision.explanation if decision else ""},
    )
    if request.method == "POST" and form.is_valid():
        try:
            known_answers.change_answer(
                item=item,
                ranks=form.ranks,
                by=request.user,
                explanation=form.cleaned_data["explanation"],
            )
        except Refusal as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(
                request, _("Changed. What labelers said is measured by the new answer.")
            )
            return redirect("known-answer", slug, pk)
    page = _item_page(project, item, completions, form)
    return render(request, "labeling/known_answer.html", page, status=400 if form.errors else 200)


def _item_page(
    project: Project, item: Slate, completions: list[Completion], form: AnswerForm
) -> dict[str, object]:
    """What the page of an item shows."""
    letters = dict(zip((one.pk for one in completions), LETTERS, strict=False))
    said = known_answers.answers_to([item]).select_related("labeler").prefetch_related("ranks")
    did = known_answers.how_labelers_did([item])[item.pk]
    earlier = item.decisions.select_related("decided_by").order_by("-pk")
    return {
        "project": project,
        "item": item,
        "form": form,
        "letters": LETTERS,
        "did": did,
        "percent": percent_of(did.share),
        "decisions": [
            {"decision": one, "order": _spelled(one.ranks.all(), letters)}
            for one in earlier.prefetch_related(Prefetch("ranks"))
        ],
        "answers": [
            {
                "ranking": one,
                "order": _spelled(one.ranks.all(), letters),
                "percent": percent_of(one.right_share),
            }
            for one in said.order_by("-pk")[:MOST_ANSWERS]
        ],
    }


def _spelled(rows: object, letters: dict[int, str]) -> str:
    """Ranks by the letters of the item's page."""
    return in_letters(
        (row.rank, letters[row.completion_id])
        for row in rows  # type: ignore[attr-defined]  # rows of either kind of rank
        if row.completion_id in letters
    )


@signed_in
@require_http_methods(["GET", "POST"])
def known_answer_create(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Make an item of a prompt and some of its completions; `?slate=` takes a slate's."""
    project = project_for(request, slug, *MAKERS)
    prompt = get_object_or_404(
        Prompt.objects.live().filter(project=project).select_related("project"), pk=pk
    )
    made_of = _slate_named(request, prompt)
    decision = decision_of(made_of) if made_of else None
    if made_of is not None:
        completions = [row.completion for row in made_of.items.select_related("completion")]
    else:
        completions = list(prompt.completions.order_by("pk"))
    form = AnswerForm(
        request.POST or None,
        completions=completions,
        right=decided(decision) if decision else None,
        initial={"explanation": decision.explanation} if decision else None,
    )
    if request.method == "POST" and form.is_valid():
        try:
            item = known_answers.make_item(
                prompt=prompt,
                ranks=form.ranks,
                purpose=form.cleaned_data["purpose"],
                by=request.user,
                explanation=form.cleaned_data["explanation"],
                made_of=made_of,
            )
        except Refusal as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, _("The item is there, and is given out from now on."))
            return redirect("known-answer", slug, item.pk)
    page = {"project": project, "prompt": prompt, "form": form, "made_of": made_of}
    page["letters"] = LETTERS
    status = 400 if form.errors else 200
    return render(request, "labeling/known_answer_create.html", page, status=status)


def _slate_named(request: SignedIn, prompt: Prompt) -> Slate | None:
    """The slate of this prompt that the address names, if it does."""
    named = request.GET.get("slate", "")
    if not named.isdecimal() or len(named) > 18:
        return None
    return prompt.slates.filter(pk=int(named)).first()


@signed_in
@require_http_methods(["GET", "POST"])
def known_answer_paste(request: SignedIn, slug: str) -> HttpResponse:
    """Take in many items, all or none; what is wrong is said line by line."""
    project = project_for(request, slug, Role.MANAGER)
    form = PasteForm(request.POST or None)
    problems: list[Problem] = []
    if request.method == "POST" and form.is_valid():
        rows, problems = _parsed(form.cleaned_data["lines"])
        if not problems:
            try:
                made = known_answers.add_items(project=project, rows=rows, by=request.user)
            except Refusal as refusal:
                form.add_error("lines", refusal.message)
            else:
                said = ngettext("%(n)d item imported.", "%(n)d items imported.", len(made))
                messages.success(request, said % {"n": len(made)})
                return redirect("known-answer-list", slug)
    page = {"project": project, "form": form, "problems": problems[:MOST_PROBLEMS]}
    status = 400 if form.errors or problems else 200
    return render(request, "labeling/known_answer_paste.html", page, status=status)


def _parsed(text: str) -> tuple[list[known_answers.NewItem], list[Problem]]:
    """The lines that are items, and what is wrong with the others."""
    rows: list[known_answers.NewItem] = []
    problems: list[Problem] = []
    for item in jsonl.read(BytesIO(text.encode(errors="surrogatepass"))):
        if isinstance(item, Problem):
            problems.append(item)
            continue
        try:
            rows.append(known_answers.new_item(item.values))
        except (PromptRefused, known_answers.ItemRefused) as refusal:
            problems.append(Problem(item.line, refusal.message, refusal.field))
    if len(rows) > known_answers.MOST_ROWS:
        problems.append(Problem(0, _("At most %d items at once.") % known_answers.MOST_ROWS))
    if not rows and not problems:
        problems.append(Problem(1, _("holds no item")))
    return rows, problems


@signed_in
@require_POST
def known_answer_withdraw(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Give an item to nobody any more, or give it out again."""
    project = project_for(request, slug, *MAKERS)
    item = _item(project, pk)
    if item.withdrawn_at is None:
        known_answers.withdraw_item(item=item)
        messages.success(request, _("Withdrawn: nobody is given it any more."))
    else:
        known_answers.restore_item(item=item)
        messages.success(request, _("It is given out again."))
    return redirect("known-answer", slug, pk)
