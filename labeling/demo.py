"""The demo project that a first visit shows: our own prompts, taken in like anybody's file."""

from __future__ import annotations

from pathlib import Path

from django.utils.translation import gettext as _

from labeling.imports import import_file
from labeling.models import Import, Project, User
from labeling.projects import create_project

SLUG = "demo"
TEMPERATURE = 0.7
"""At 1 a model of this size loses its thread too often for people to enjoy ranking it."""
PROMPTS = Path(__file__).parent / "demo" / "prompts.jsonl"


def create_demo_project(*, owner: User) -> Project:
    """The demo project with its prompts; made once, finished where an earlier start broke off.

    Raises FileRefused, ImportRunning.
    """
    project = Project.objects.filter(slug=SLUG).first()
    if project is None:
        project = create_project(
            by=owner,
            name=_("Demo"),
            slug=SLUG,
            temperature=TEMPERATURE,
            asks_demonstrations=True,
            asks_prompts=True,
            allows_conversations=True,
            guidelines=_(
                "Rank the answers from best to worst: first what is helpful and true, then what "
                "is clear and to the point. Equal answers may share a place."
            ),
        )
    if not project.imports.filter(state=Import.State.COMMITTED).exists():
        with PROMPTS.open("rb") as file:
            import_file(
                project=project,
                kind=Import.Kind.PROMPTS,
                format="jsonl",
                file=file,
                file_name=PROMPTS.name,
                by=owner,
            )
    return project
