"""Celery's side of labeling: shells around verbs. What is due stands in rows, the tick finds it."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from labeling import quality_reports, tallies
from labeling.apart import apart


@shared_task
def tick() -> None:
    """Ask for reports and keep tallies that are due, and nudge who works the reports out.

    No step's error stops another's.
    """
    for step in (quality_reports.ask_for_due_reports, tallies.keep_due_tallies):
        with apart("a step of the tick", step.__name__):
            step()
    for report in quality_reports.waiting_reports():
        work_out_quality.apply_async((report,), expires=settings.TICK_SECONDS)


@shared_task
def work_out_quality(report: int) -> None:
    """Work out one report; delivered twice, it is worked out once."""
    from labeling.quality.report import work_out  # noqa: PLC0415  # numpy: for workers, when asked

    if taken := quality_reports.take_up(report):
        work_out(taken)
