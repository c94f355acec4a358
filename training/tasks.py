"""Celery's side: three shells around verbs, and the signal that tells them to stop.

A message is a nudge: what is due stands in rows, and the tick finds it. Messages expire, so that
they don't pile up behind a run of hours.
"""

from __future__ import annotations

import threading
from typing import Any

from celery import shared_task
from celery.signals import worker_init, worker_shutdown, worker_shutting_down
from django.conf import settings

from labeling.apart import apart
from training import evaluations, rounds, rules, runs, sampling, work

STOPPING = threading.Event()
"""Set when this worker is asked to end: children are stopped, their runs given back."""
FILLER = sampling.Filler(STOPPING)


@shared_task
def train() -> None:
    """Carry out runs until none is left."""
    work.carry_out_runs(stopping=STOPPING)


@shared_task
def sample() -> None:
    """Fulfil waiting requests for completions."""
    FILLER.fill()


@shared_task
def tick() -> None:
    """Nudge those who work, then find what is due, from rows.

    The nudges come first, and no step's error stops another's: what is found now is worked on from
    the next tick on at the latest.
    """
    sample.apply_async(expires=settings.TICK_SECONDS)
    if work.is_due():
        train.apply_async(expires=settings.TICK_SECONDS)
    for step in (
        runs.close_abandoned,
        rules.start_due_rounds,
        rules.freeze_begun_rounds,
        evaluations.open_missing_blind_slates,
        rounds.reconsider_waiting,
        sampling.ask_for_all_stocks,
    ):
        with apart("a step of the tick", step.__name__):
            step()


@worker_init.connect
def _begin(**_kwargs: Any) -> None:
    STOPPING.clear()


@worker_shutting_down.connect
def _stop(**_kwargs: Any) -> None:
    STOPPING.set()


@worker_shutdown.connect
def _unload(**_kwargs: Any) -> None:
    STOPPING.set()
    FILLER.close()
