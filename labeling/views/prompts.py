"""Prompts: listed, looked at, withdrawn, brought in by the file."""

from __future__ import annotations

import json
from collections import Counter
from functools import reduce
from operator import or_
from typing import BinaryIO, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling import imports, prompts, uploads
from labeling.forms.prompts import ImportForm
from labeling.models import (
    READERS,
    CompletionFlag,
    Import,
    Prompt,
    PromptFlag,
    Ranking,
    Role,
    Split,
)
from labeling.near_keys import root_of
from labeling.noted import (
    COMMENTED,
    FLAGGED,
    SKIPPED,
    SKIPPED_OFTEN,
    noted_prompts,
    notes_of,
    passed_on,
    rankings_with_notes,
)
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, role_in, signed_in
from labeling.views.quality import naming

PAGE = 50
LISTS = {
    Import.Kind.PROMPTS: ("prompt-list", gettext_lazy("See the prompts")),
    Import.Kind.DEMONSTRATIONS: ("demonstration-list", gettext_lazy("See the demonstrations")),
    Import.Kind.TEXTS: ("text-list", gettext_lazy("See the texts")),
}
"""Where the rows of an import are found."""
WRITTEN_HERE = "any"
"""In the address: prompts of any kind that labelers wrote."""


@signed_in
@require_GET
def prompt_list(request: SignedIn, slug: str) -> HttpResponse:
    """The project's prompts, filtered by the address."""
    project = project_for(request, slug, *READERS)
    live = Prompt.objects.live().filter(project=project)
    found = live
    text, split, category = (request.GET.get(name, "") for name in ("q", "split", "category"))
    if text:
        found = found.filter(_says(text))
    if split in Split.values:
        found = found.filter(split=split)
    if category:
        found = found.filter(category=category)
    kind = request.GET.get("kind", "")
    if kind == WRITTEN_HERE:
        found = found.exclude(kind="")
    elif kind in Prompt.Kind.values:
        found = found.filter(kind=kind)
    noted = request.GET.get("noted", "")
    rankings = Ranking.objects.current().filter(slate__prompt=OuterRef("pk")).order_by()
    counted = rankings.values("slate__prompt").annotate(number=Count("pk")).values("number")
    found = found.annotate(ranking_count=Coalesce(Subquery(counted), 0))  # of the page's rows only
    sought = noted_prompts(found.order_by("-pk"), noted)
    shown = Paginator(sought, PAGE).get_page(request.GET.get("page"))
    notes = notes_of(shown.object_list)
    page = {
        "project": project,
        "page": shown,
        "rows": [(prompt, notes.get(prompt.pk)) for prompt in shown],
        "filters": {
            "q": text,
            "split": split,
            "category": category,
            "kind": kind,
            "noted": noted,
        },
        "filtered": bool(text or split or category or kind or noted),
        "noted": _noted_choices(),
        "kinds": [(WRITTEN_HERE, _("written here, all kinds")), *Prompt.Kind.choices],
        "splits": Split.choices,
        "categories": live.exclude(category="")
        .order_by("category")
        .values_list("category", flat=True)
        .distinct(),
        "imports": project.imports.order_by("-pk")[:5],
        "may_edit": role_in(project, request.user) == Role.MANAGER,
    }
    return render(request, "labeling/prompt_list.html", page)


def _noted_choices() -> list[tuple[str, list[tuple[str, object]]]]:
    """What the list can be filtered by that labelers noted, in groups."""
    return [
        (
            _("Labelers"),
            [
                (SKIPPED, _("skipped it")),
                (SKIPPED_OFTEN, _("skipped it, two or more of them")),
                (FLAGGED, _("flagged it")),
                (COMMENTED, _("wrote a comment")),
            ],
        ),
        (_("Flags on the prompt"), list(PromptFlag.choices)),
        (_("Flags on a completion"), list(CompletionFlag.choices)),
    ]


def _says(text: str) -> Q:
    """Prompts whose messages hold `text`, as JSON spells it on PostgreSQL and on SQLite."""
    spellings = {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return reduce(or_, (Q(messages__icontains=spelled) for spelled in spellings))


@signed_in
@require_GET
def prompt(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """One prompt, what was written for it and by whom, and how often it was ranked."""
    project = project_for(request, slug, *READERS)
    rows = Prompt.objects.filter(project=project).select_related("created_by")
    found = get_object_or_404(rows, pk=pk)
    role = role_in(project, request.user)
    named = naming(project, request.user)
    rankings = rankings_with_notes(found)
    flags = Counter(
        (given.completion_id, CompletionFlag(given.flag).label)
        for ranking in rankings
        for given in ranking.completion_flags.all()
    )
    completions = list(found.completions.select_related("source").order_by("pk"))
    page = {
        "project": project,
        "prompt": found,
        "completions": [
            (one, [(label, n) for (pk, label), n in flags.most_common() if pk == one.pk])
            for one in completions
        ],
        "noted": [
            (
                named(ranking.labeler),
                ranking,
                [PromptFlag(given.flag).label for given in ranking.prompt_flags.all()],
            )
            for ranking in rankings
            if ranking.comment or ranking.prompt_flags.all()
        ],
        "passed_on": [(named(one.labeler), one) for one in passed_on(found)],
        "slates": found.slates.annotate(
            ranking_count=Count("rankings", filter=Q(rankings__is_current=True))
        ).order_by("pk"),
        "may_edit": role == Role.MANAGER,
        "may_decide": role in (Role.REVIEWER, Role.MANAGER) and found.withdrawn_at is None,
    }
    return render(request, "labeling/prompt.html", page)


@signed_in
@require_POST
def prompt_withdraw(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Take a prompt out of the work, or put it back."""
    project = project_for(request, slug, Role.MANAGER)
    found = get_object_or_404(Prompt.objects.filter(project=project), pk=pk)
    if found.withdrawn_at is None:
        prompts.withdraw_prompt(prompt=found)
        messages.success(request, _("Withdrawn: nobody is asked to rank it any more."))
    else:
        prompts.restore_prompt(prompt=found)
        messages.success(request, _("It is back in the work."))
    return redirect("prompt", slug, pk)


@signed_in
@require_POST
def prompt_priority(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Take a prompt up sooner or later than others."""
    project = project_for(request, slug, Role.MANAGER)
    found = get_object_or_404(Prompt.objects.live().filter(project=project), pk=pk)
    try:
        prompts.prioritise_prompt(prompt=found, priority=request.POST.get("priority", ""))
    except Refusal as refusal:
        messages.error(request, _("Priority: %(why)s.") % {"why": refusal.message})
    else:
        messages.success(request, _("Saved. Prompts of a higher priority come first."))
    return redirect("prompt", slug, pk)


@signed_in
@require_http_methods(["GET", "POST"])
def prompt_import(request: SignedIn, slug: str) -> HttpResponse:
    """Upload a file; it is taken in whole or not at all."""
    project = project_for(request, slug, Role.MANAGER)
    kind = request.GET.get("kind", "")
    asked = {"kind": kind} if kind in Import.Kind.values else {}
    form = ImportForm(request.POST or None, request.FILES or None, initial=asked)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            row = imports.import_file(
                project=project,
                kind=form.cleaned_data["kind"],
                format=form.cleaned_data["format"] or imports.format_of(file.name),
                file=cast("BinaryIO", file.file),
                file_name=file.name,
                by=request.user,
            )
        except Refusal as refusal:
            form.add_error("file", refusal.message)
        else:
            return redirect("import", slug, row.pk)
    if uploads.too_large(request):
        form.add_error("file", imports.too_large().message)
    page = {"project": project, "form": form}
    status = 400 if form.errors else 200
    return render(request, "labeling/prompt_import.html", page, status=status)


@signed_in
@require_GET
def import_page(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """What became of a file: how many rows are in, or what is wrong, line by line."""
    project = project_for(request, slug, *READERS)
    row = get_object_or_404(Import, project=project, pk=pk)
    added = ngettext("%(n)d row imported.", "%(n)d rows imported.", row.rows) % {"n": row.rows}
    page = {
        "project": project,
        "import": row,
        "added": added,
        "list": LISTS[Import.Kind(row.kind)],
        "most": imports.MAX_PROBLEMS,
        "near": [
            (pair, root_of(pair.prompt.messages), root_of(pair.beside.messages))
            for pair in row.near.select_related("prompt", "beside")
        ],
    }
    return render(request, "labeling/import.html", page)
