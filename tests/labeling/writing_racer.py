"""A writer in a process of its own: `python -m tests.labeling.writing_racer MODE …`.

prepare PROMPTS LABELERS: fill an empty database. write NAME: take a prompt and answer it until none
is left, one line each: the prompt and the demonstration. Waits for a line on stdin before it
begins, so that all begin together.
"""

from __future__ import annotations

import os
import sys

import django

from tests.labeling.races import wait_for_the_others

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def prepare(prompts: int, labelers: int) -> None:
    from django.core.management import call_command
    from django.db import transaction

    from tests.factories import make_labeler, make_project, make_prompt

    call_command("migrate", verbosity=0)
    with transaction.atomic():
        project = make_project(name="Race", asks_demonstrations=True)
        for number in range(labelers):
            make_labeler(project, f"labeler{number}")
        for _ in range(prompts):
            make_prompt(project)


def write(name: str) -> None:
    from labeling.models import Project, User
    from labeling.writing import next_task, send

    project = Project.objects.get()
    labeler = User.objects.get(username=name)
    wait_for_the_others()
    while task := next_task(project=project, labeler=labeler):
        made = send(task=task, text=f"Answer to {task.prompt_id}.", seconds=1)
        print(task.prompt_id, made.pk, flush=True)


if __name__ == "__main__":
    django.setup()
    if sys.argv[1] == "prepare":
        prepare(int(sys.argv[2]), int(sys.argv[3]))
    else:
        write(sys.argv[2])
