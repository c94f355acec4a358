"""The quality page: how far labels can be trusted, whose figures stand out; and the same as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from labeling.formats.cells import plain_cell
from labeling.models import READERS, Project, QualityFigure, Role, User
from labeling.projects import refuse_archived
from labeling.quality_reports import ask_for_report, newest_report, report_under_way
from labeling.refusals import Refusal
from labeling.views.access import SignedIn, project_for, role_in, signed_in
from labeling.views.quality_figures import Figures, Named, Row, in_words, line
from labeling.views.quality_words import SHOWN, between, said

Measure = QualityFigure.Measure
MANAGERS = (Role.MANAGER,)
ASKING = (Role.REVIEWER, Role.MANAGER)
FIELDS = (
    *("measure", "category", "labeler", "other", "week", "value", "low", "high"),
    *("count", "usual", "stands_out"),
)
SORTS = ("name", "value", "count")


def naming(project: Project, user: User) -> Named:
    """How labelers are called: by name for who works with them, by pseudonym for researchers."""
    if role_in(project, user) in ASKING:
        return str
    return lambda labeler: labeler.pseudonym


@signed_in
@require_GET
def quality(request: SignedIn, slug: str) -> HttpResponse:
    """The newest report: the headline, what stands out, one measure drawn, pairs, categories."""
    project = project_for(request, slug, *READERS)
    role = role_in(project, request.user)
    report = newest_report(project)
    page: dict[str, object] = {
        "project": project,
        "report": report,
        "under_way": report_under_way(project),
        "may_ask": role in ASKING and project.archived_at is None,
        "may_weigh": role in MANAGERS,
    }
    if report is not None:
        figures = Figures(report, naming(project, request.user))
        page |= _drawn(request, figures)
    return render(request, "labeling/quality.html", page)


def _drawn(request: SignedIn, figures: Figures) -> dict[str, object]:
    """What the page shows of a report."""
    measures = figures.measures()
    asked = request.GET.get("measure", "")
    chosen = next((one for one in measures if one.measure == asked), None)
    chosen = chosen or next(iter(measures), None)
    sort = request.GET.get("sort", "name")
    names, heat = figures.heat()
    agreement, gold = figures.over_weeks(Measure.AGREEMENT), figures.over_weeks(Measure.GOLD)
    return {
        "head": _head(figures),
        "noticed": figures.noticed(),
        "measures": measures,
        "shown": chosen,
        "rows": _sorted(figures.rows(chosen.measure), sort) if chosen else [],
        "sort": sort,
        "next_sort": {name: f"-{name}" if sort == name else name for name in SORTS},
        "directions": {name: _direction(name, sort) for name in SORTS},
        "names": names,
        "heat": heat,
        "categories": figures.categories(),
        "weeks": [
            (_("Agreement"), line(agreement), in_words(agreement)),
            (_("Gold"), line(gold), in_words(gold)),
        ],
    }


def _head(figures: Figures) -> list[tuple[str, str, str]]:
    """(value, name, interval) of the project."""
    found = []
    for measure, name in (
        (Measure.AGREEMENT, _("agreement on pairs")),
        (Measure.CHANCE, _("by chance")),
        (Measure.ALPHA, _("Krippendorff's alpha")),
        (Measure.SECONDS_P50, _("for a ranking, median")),
    ):
        figure = figures.whole.get(measure)
        unit = SHOWN[measure].unit if measure in SHOWN else "percent"
        if figure is not None:
            interval = between(figure.low, figure.high, unit)
            if measure == Measure.CHANCE:
                interval = ""
            found.append((said(figure.value, unit), name, interval))
    return found


def _sorted(rows: list[Row], sort: str) -> list[Row]:
    """Rows by name, value or count; a "-" before it turns the order round."""
    key = sort.removeprefix("-")
    by_name = sorted(rows, key=lambda row: row.name.casefold())
    match key:
        case "value":
            found = sorted(by_name, key=lambda row: row.sort_value)
        case "count":
            found = sorted(by_name, key=lambda row: row.count)
        case _:
            found = by_name
    return found[::-1] if sort.startswith("-") else found


def _direction(name: str, sort: str) -> str:
    """For `aria-sort`."""
    return {name: "ascending", f"-{name}": "descending"}.get(sort, "none")


@signed_in
@require_POST
def quality_ask(request: SignedIn, slug: str) -> HttpResponse:
    """Have a report worked out now."""
    project = project_for(request, slug, *ASKING)
    try:
        refuse_archived(project)
    except Refusal as refusal:
        messages.error(request, refusal.message)
    else:
        ask_for_report(project)
    return redirect("quality", project.slug)


class Echo:
    """A file that hands back what is written."""

    def write(self, value: str) -> str:
        """The line."""
        return value


@signed_in
@require_GET
def quality_csv(request: SignedIn, slug: str) -> StreamingHttpResponse:
    """Every figure of the newest report, a line each."""
    project = project_for(request, slug, *READERS)
    named = naming(project, request.user)
    response = StreamingHttpResponse(_lines(project, named), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{project.slug}-quality.csv"'
    return response


def _lines(project: Project, named: Named) -> Iterator[str]:
    writer = csv.writer(Echo())
    yield str(writer.writerow(FIELDS))
    report = newest_report(project)
    if report is None:
        return
    rows = report.figures.select_related("labeler", "other").order_by("pk")
    for one in rows.iterator(chunk_size=500):
        cells = (
            one.measure,
            plain_cell(one.category),
            plain_cell(named(one.labeler)) if one.labeler else "",
            plain_cell(named(one.other)) if one.other else "",
            one.week or "",
            *(one.value, one.low, one.high),
            *(one.count, one.reference, int(one.stands_out)),
        )
        yield str(writer.writerow(["" if cell is None else cell for cell in cells]))
