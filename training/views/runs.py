"""Runs: the list with its queue, one run's page, its numbers, its buttons."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.refusals import Refusal
from training import single_runs
from training.forms.config_fields import config_form
from training.full_disk import full_disk_refused
from training.models import Run, RunMetric, RunResult
from training.queue_places import queue_places
from training.run_configs import editable_fields
from training.runs import cancel_run, repeat_run, resume_run
from training.views.access import SignedIn, managed_project, place_of, signed_in, whole_number
from training.views.configs import config_class_of, config_differences, config_lines
from training.views.curves import points_of
from training.views.run_breakdowns import breakdowns_of
from training.views.run_page import (
    all_points,
    chart_data,
    live_context,
    metric_table,
    runs_of,
    share_done,
)

PER_PAGE = 30
MOST_COMPARED = 6


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def run_list(request: SignedIn, slug: str) -> HttpResponse:
    """The queue first, then what has ended, newest first; filters in the query string.

    A POST puts one run of `kind` into the queue, outside of any round.
    """
    if request.method == "POST":
        return _start(request, slug)
    place = place_of(request, slug)
    runs = runs_of(place.project)
    kind, state = request.GET.get("kind", ""), request.GET.get("state", "")
    chosen = runs.filter(kind=kind) if kind in Run.Kind.values else runs
    chosen = chosen.filter(state=state) if state in Run.State.values else chosen
    queue = list(runs.live().order_by("pk"))
    places = queue_places(place.project)
    context = {
        "project": place.project,
        "can_act": place.can_act,
        "queue": [
            {"run": run, "share": share_done(run), "place": places.get(run.pk)} for run in queue
        ],
        "page": Paginator(chosen.order_by("-pk"), PER_PAGE).get_page(request.GET.get("page")),
        "kinds": Run.Kind.choices,
        "states": Run.State.choices,
        "kind": kind,
        "state": state,
    }
    return render(request, "training/run_list.html", context)


def _start(request: SignedIn, slug: str) -> HttpResponse:
    project = managed_project(request, slug)
    kind = request.POST.get("kind", "")
    if kind not in Run.Kind.values:
        messages.error(request, _("Choose what to run."))
        return redirect("run-list", slug=slug)
    try:
        with full_disk_refused():
            started = single_runs.start_run(project=project, kind=kind, by=request.user)
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect("run-list", slug=slug)
    return redirect("run", slug=slug, pk=started.pk)


def _run(request: SignedIn, slug: str, pk: int) -> tuple[Run, bool]:
    place = place_of(request, slug)
    return get_object_or_404(runs_of(place.project), pk=pk), place.can_act


@signed_in
@require_GET
def run(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """One run: state, curves, texts, log, config."""
    shown, can_act = _run(request, slug, pk)
    points = all_points(shown)
    names, rows = metric_table(points)
    lines = config_lines(shown.config)
    context = {
        **live_context(shown, points),
        "project": shown.project,
        "can_act": can_act,
        "chart": chart_data([shown], [points], url=reverse("run-points", args=[slug, pk])),
        "metric_names": names,
        "metric_rows": rows,
        "changed": [line for line in lines if line.differs],
        "unchanged": [line for line in lines if not line.differs],
        "datasets": shown.datasets.all(),
        "breakdowns": breakdowns_of(shown),
    }
    return render(request, "training/run.html", context)


@signed_in
@require_GET
def run_live(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """The parts of a run's page that change, asked for every two seconds while it is live."""
    shown, can_act = _run(request, slug, pk)
    context = {
        **live_context(shown, all_points(shown)),
        "project": shown.project,
        "can_act": can_act,
        "polled": True,
    }
    parts = ("training/run.html#state", "training/run.html#texts")
    return HttpResponse("".join(render_to_string(part, context, request) for part in parts))


@signed_in
@require_GET
def run_points(request: SignedIn, slug: str, pk: int) -> JsonResponse:
    """The points of the curves after a step, for charts.js."""
    shown, _can_act = _run(request, slug, pk)
    after = whole_number(request.GET.get("after", ""))
    rows = RunMetric.objects.filter(run=shown).order_by("step")
    if after is not None:
        rows = rows.filter(step__gt=after)
    points = points_of(rows)
    data = chart_data([shown], [points])
    return JsonResponse({"panels": data["panels"], "points": points, "attempt": shown.attempt})


class _Line:
    """A file that hands back what is written to it, for csv.writer."""

    def write(self, line: str) -> str:
        return line


@signed_in
@require_GET
def run_metrics_csv(request: SignedIn, slug: str, pk: int) -> StreamingHttpResponse:
    """Every number of the run's curves as CSV: step, name, value."""
    shown, _can_act = _run(request, slug, pk)
    rows = RunMetric.objects.filter(run=shown).order_by("step", "name")

    def lines() -> Iterator[str]:
        writer = csv.writer(_Line())
        yield writer.writerow(["step", "name", "value"])
        for row in rows.values_list("step", "name", "value").iterator(chunk_size=2000):
            yield writer.writerow(row)

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="run-{pk}-metrics.csv"'
    return response


@signed_in
@require_POST
def run_cancel(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Ask a run to stop; what it had saved is kept."""
    run = get_object_or_404(Run, project=managed_project(request, slug), pk=pk)
    try:
        cancel_run(run=run)
        messages.success(request, _("The run is asked to stop; it does so within 30 seconds."))
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect("run", slug=slug, pk=pk)


@signed_in
@require_POST
def run_resume(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """Queue a failed or cancelled run again; it goes on from its last saved state."""
    run = get_object_or_404(Run, project=managed_project(request, slug), pk=pk)
    try:
        resume_run(run=run)
        messages.success(request, _("The run is queued and goes on from where it was saved."))
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect("run", slug=slug, pk=pk)


@signed_in
@require_http_methods(["GET", "POST"])
def run_repeat(request: SignedIn, slug: str, pk: int) -> HttpResponse:
    """The same run again, with the values that a manager changes."""
    original = get_object_or_404(runs_of(managed_project(request, slug)), pk=pk)
    config_class = config_class_of(original.config)
    form = None
    if config_class is not None:
        defaults = {name: value for name, value in original.config.items() if name != "recipe"}
        data = request.POST if request.method == "POST" else None
        names = editable_fields(original.kind)
        form = config_form(config_class, names, defaults=defaults, data=data)
    if form is not None and form.is_bound and form.is_valid():
        try:
            again = repeat_run(run=original, changes=form.changes(), by=request.user)
            return redirect("run", slug=slug, pk=again.pk)
        except Refusal as refusal:
            form.add_error(None, refusal.message)
    context = {"project": original.project, "run": original, "form": form}
    status = 400 if form is not None and form.is_bound else 200
    return render(request, "training/run_repeat.html", context, status=status)


@signed_in
@require_GET
def run_compare(request: SignedIn, slug: str) -> HttpResponse:
    """Runs side by side: results, differing settings, curves in the same pictures."""
    place = place_of(request, slug)
    numbers = [whole_number(text) for text in request.GET.getlist("run")]
    wanted = [number for number in numbers if number is not None][:MOST_COMPARED]
    found = {run.pk: run for run in runs_of(place.project).filter(pk__in=wanted)}
    runs = [found[pk] for pk in dict.fromkeys(wanted) if pk in found]
    context: dict[str, Any] = {"project": place.project, "runs": runs, "enough": len(runs) >= 2}
    if context["enough"]:
        points = _points_by_run(runs)
        context |= {
            "chart": chart_data(runs, points),
            "differences": config_differences([run.config for run in runs]),
            "results": _results_side_by_side(runs),
            "one_kind": len({run.kind for run in runs}) == 1,
        }
    return render(request, "training/run_compare.html", context)


def _points_by_run(runs: list[Run]) -> list[dict[str, list[list[float]]]]:
    rows = RunMetric.objects.filter(run__in=runs).order_by("step")
    by_run: dict[int, list[RunMetric]] = {run.pk: [] for run in runs}
    for row in rows:
        by_run[row.run_id].append(row)
    return [points_of(by_run[run.pk]) for run in runs]


def _results_side_by_side(runs: list[Run]) -> list[tuple[str, list[float | None]]]:
    values: dict[str, dict[int, float]] = {}
    for row in RunResult.objects.filter(run__in=runs).order_by("pk"):
        values.setdefault(row.name, {})[row.run_id] = row.value
    return [(name, [by_run.get(run.pk) for run in runs]) for name, by_run in values.items()]
