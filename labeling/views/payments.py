"""Payments: who did how much in which week, as a table and as CSV."""

from __future__ import annotations

import csv
from datetime import date
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from labeling.formats.cells import plain_cell
from labeling.models import Role
from labeling.payments import COUNTS, WeekOfWork, monday_of, payments, week_name, weeks_of
from labeling.views.access import SignedIn, project_for, signed_in

WEEKS = 4
"""Shown at first, this one included."""
COLUMNS = ("week", "begins", "name", "username", *COUNTS, "active_hours")


@signed_in
@require_GET
def payment_list(request: SignedIn, slug: str) -> HttpResponse:
    """By week and person; `?first=2026-W40&last=2026-W48` chooses the weeks."""
    project = project_for(request, slug, Role.MANAGER)
    weeks = weeks_of(project)
    first, last = _chosen(request, weeks)
    rows = payments(project=project, first=first, last=last)
    page = {
        "project": project,
        "rows": rows,
        "total": _total(rows),
        "weeks": [(week_name(monday), monday) for monday in weeks],
        "first": week_name(first),
        "last": week_name(last),
    }
    return render(request, "labeling/payment_list.html", page)


@signed_in
@require_GET
def payments_csv(request: SignedIn, slug: str) -> HttpResponse:
    """The same rows, for a spreadsheet or a payroll."""
    project = project_for(request, slug, Role.MANAGER)
    first, last = _chosen(request, weeks_of(project))
    name = f"{project.slug}-{week_name(first)}-{week_name(last)}-payments.csv"
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    for row in payments(project=project, first=first, last=last):
        writer.writerow(
            [
                row.week,
                row.monday.isoformat(),
                plain_cell(row.name),
                plain_cell(row.username),
                *(getattr(row, count) for count in COUNTS),
                f"{row.hours:.2f}",
            ]
        )
    return response


def _chosen(request: SignedIn, weeks: list[date]) -> tuple[date, date]:
    """The first and the last Monday asked for, in order; else the last WEEKS weeks of the work."""
    first = monday_of(request.GET.get("first", "")) or weeks[min(WEEKS, len(weeks)) - 1]
    last = monday_of(request.GET.get("last", "")) or weeks[0]
    return min(first, last), max(first, last)


def _total(rows: list[WeekOfWork]) -> dict[str, Any]:
    """All rows together."""
    return {name: sum(getattr(row, name) for row in rows) for name in (*COUNTS, "hours")}
