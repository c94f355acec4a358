"""What the pages of runs show of a run, gathered with a fixed number of queries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from labeling.models import Project
from training.models import Run, RunMetric
from training.queue_places import place_of_run
from training.runs import describe_error, results_of
from training.views.cautions import cautions
from training.views.curves import chart_words, curves_of, panels, points_of
from training.views.sampling_state import is_paused

SAMPLES_SHOWN = 8
TABLE_STEPS = 200
NO_TEXTS_YET: dict[str, Any] = {
    Run.Kind.SFT: _("None yet; a few answers before and after come at the end."),
    Run.Kind.BEST_OF: _("None yet; the texts of the first three prompts come here."),
    Run.Kind.PPO: _("None yet; PPO writes a few at each look by the judge."),
    Run.Kind.GRPO: _("None yet; GRPO writes a few at each look by the judge."),
    Run.Kind.REJECTION: _("None yet; it writes a few at each look by the judge."),
    Run.Kind.DPO: _("None yet; DPO writes a few at each look by the judge."),
    Run.Kind.EVALUATE: _("None yet; the texts of the first three prompts come here."),
}
"""By kind; a reward model and a judge write none at all."""

RELATED = (
    *("round", "created_by", "project", "repeats", "checkpoint", "evaluation"),
    *("base", "start", "deployed", "reward", "judge"),
)


def runs_of(project: Project) -> Any:
    """The project's runs with what their pages name."""
    return Run.objects.filter(project=project).select_related(*RELATED)


def not_heard_for(run: Run) -> float | None:
    """Seconds since a running run's worker was last heard, where that is too long; else None."""
    if run.state != Run.State.RUNNING or run.heartbeat_at is None:
        return None
    silence = timezone.now() - run.heartbeat_at
    lapsed = silence > timedelta(seconds=settings.RUN_LEASE_SECONDS)
    return silence.total_seconds() if lapsed else None


def share_done(run: Run) -> float | None:
    """0 to 1; None where the run has not said how many steps it has."""
    return min(run.step / run.total_steps, 1.0) if run.total_steps else None


def no_texts(run: Run) -> str:
    """Why there is nothing to read, in a sentence."""
    if run.kind not in NO_TEXTS_YET:
        return gettext("A reward model writes none.")
    live = run.state in (Run.State.QUEUED, Run.State.RUNNING)
    return str(NO_TEXTS_YET[run.kind]) if live else gettext("This run wrote none.")


def live_context(run: Run, points: dict[str, list[list[float]]]) -> dict[str, Any]:
    """What changes while a run is live: state, progress, cautions, samples, log."""
    results = results_of(run)
    return {
        "run": run,
        "live": run.state in (Run.State.QUEUED, Run.State.RUNNING),
        "cancelling": run.cancel_requested_at is not None and run.finished_at is None,
        "place": place_of_run(run),
        "paused": is_paused(run),
        "silence": not_heard_for(run),
        "share": share_done(run),
        "failure": describe_error(run),
        "cautions": cautions(run, points, results),
        "results": results,
        "samples": run.samples.order_by("-number")[:SAMPLES_SHOWN],
        "no_texts": no_texts(run),
        "last_step": max((row[-1][0] for row in points.values() if row), default=0),
    }


def all_points(run: Run) -> dict[str, list[list[float]]]:
    """Every stored metric of a run, as {name: [[step, value], …]}."""
    return points_of(RunMetric.objects.filter(run=run).order_by("step"))


def chart_data(
    runs: list[Run], points: list[dict[str, list[list[float]]]], *, url: str = ""
) -> dict[str, Any]:
    """What charts.js reads: panels, and one series of points for each run."""
    merged = {name: rows for run_points in points for name, rows in run_points.items()}
    return {
        "panels": panels(curves_of(runs[0]), merged),
        "series": [
            {"label": f"{run.pk}", "points": run_points}
            for run, run_points in zip(runs, points, strict=True)
        ],
        "words": chart_words(),
        "url": url,
    }


def metric_table(points: dict[str, list[list[float]]]) -> tuple[list[str], list[list[Any]]]:
    """The numbers behind the curves: names, and a row for each of the last steps."""
    names = list(points)
    by_step: dict[float, dict[str, float]] = {}
    for name, rows in points.items():
        for step, value in rows:
            by_step.setdefault(step, {})[name] = value
    steps = sorted(by_step)[-TABLE_STEPS:]
    return names, [[int(s), *(by_step[s].get(name) for name in names)] for s in reversed(steps)]
