"""The Celery app: three queues, one beat tick. Tasks are shells around verbs."""

from __future__ import annotations

import logging.config
import os

from celery import Celery
from celery.signals import setup_logging, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("rankloop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def log_like_the_web(**_options: object) -> None:
    """Workers and beat log as Django's settings say, not in Celery's own way."""
    from django.conf import settings  # noqa: PLC0415 - read when a worker starts, not before

    logging.config.dictConfig(settings.LOGGING)


@worker_ready.connect
def look_at_once(sender: object, **_options: object) -> None:
    """The first tick comes with the worker, not an interval of beat's later."""
    if str(getattr(sender, "hostname", "")).startswith("default@"):
        app.send_task("training.tasks.tick")
