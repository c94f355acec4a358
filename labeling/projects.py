"""Projects: made, changed, archived. Nothing is ever deleted here."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from labeling.guidelines import publish
from labeling.model_names import fault_in
from labeling.models import CompletionFlag, Membership, Project, Role, User
from labeling.refusals import Refusal

EDITABLE = (
    "name",
    "k",
    "overlap",
    "most_overlap",
    "base_model",
    "max_new_tokens",
    "temperature",
    "slates_ahead",
    "completion_flags",
    "asks_likert",
    "asks_prompt_flags",
    "asks_comment",
    "allows_edits",
    "correction_hours",
    "break_minutes",
    "rest_minutes",
    "asks_demonstrations",
    "asks_prompts",
    "allows_conversations",
    "practice_first",
    "quiz_pass",
    "gold_percent",
    "gold_window",
    "gold_pass",
    "repeat_percent",
)
SLUG_TRIES = 20


class ProjectRefused(Refusal):
    """A setting is out of its range. `fields`: the sentences by field."""

    code = "project_refused"
    status = 400

    def __init__(self, fields: dict[str, list[str]]) -> None:
        """Keep the sentences by field; the message is all of them."""
        self.fields = fields
        super().__init__(" ".join(text for texts in fields.values() for text in texts))


class ProjectArchived(Refusal):
    """Archived projects take nothing in."""

    code = "project_archived"
    sentence = _("This project is archived. Restore it to go on working in it.")


def create_project(
    *, by: User | None, name: str, slug: str = "", guidelines: str = "", **settings: Any
) -> Project:
    """A new project; `by` becomes its manager. The slug is made from the name, unique.

    guidelines: their first version, in Markdown. settings: any of EDITABLE. Raises ProjectRefused.
    """
    project = Project(created_by=by)
    _apply(project, {"name": name, **settings})
    base = (slugify(slug or name) or "project")[:50].strip("-")
    for number in range(1, SLUG_TRIES + 1):
        project.slug = base if number == 1 else _numbered(base, number)
        try:
            with transaction.atomic():
                project.save(force_insert=True)
                if by is not None:
                    Membership.objects.create(project=project, user=by, role=Role.MANAGER)
                publish(project=project, text=guidelines, by=by)
        except IntegrityError:
            if not Project.objects.filter(slug=project.slug).exists():
                raise
            project.pk = None
        else:
            return project
    raise ProjectRefused({"slug": [str(_("Too many projects of that name. Choose another."))]})


def _numbered(base: str, number: int) -> str:
    """The next slug that is likely to be free."""
    taken = set(Project.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    while f"{base}-{number}" in taken:
        number += 1
    return f"{base}-{number}"


def update_project(
    *, project: Project, by: User | None = None, guidelines: str | None = None, **changes: Any
) -> Project:
    """Change settings; slates that exist keep the K and overlap they were made with.

    guidelines: the text of a new version (None: as they are). changes: any of EDITABLE. Raises
    ProjectRefused.
    """
    _apply(project, changes)
    with transaction.atomic():
        if changes:
            project.save(update_fields=list(changes))
        if guidelines is not None:
            publish(project=project, text=guidelines, by=by)
    return project


def _apply(project: Project, changes: dict[str, Any]) -> None:
    """Set and check. Raises ProjectRefused, and TypeError for a field that can't be set."""
    unknown = set(changes) - set(EDITABLE)
    if unknown:
        msg = f"not a setting of a project: {', '.join(sorted(unknown))}"
        raise TypeError(msg)
    for field, value in changes.items():
        setattr(project, field, value.strip() if isinstance(value, str) else value)
    try:
        project.clean_fields(exclude=["slug", "created_by", "guidelines"])
    except ValidationError as error:
        raise ProjectRefused(error.message_dict) from error
    unknown = set(project.completion_flags.split()) - set(CompletionFlag.values)
    if unknown:
        fault = _("There is no flag “%(flag)s”.") % {"flag": min(unknown)[:40]}
        raise ProjectRefused({"completion_flags": [fault]})
    if fault := fault_in(project.base_model) if "base_model" in changes else "":
        raise ProjectRefused({"base_model": [fault]})


def archive_project(*, project: Project) -> None:
    """Put it away: nothing is leased or sampled; everything can still be read."""
    Project.objects.filter(pk=project.pk, archived_at=None).update(archived_at=Now())
    project.refresh_from_db(fields=["archived_at"])


def refuse_archived(project: Project) -> None:
    """Raise ProjectArchived where `project` is put away."""
    if project.archived_at is not None:
        raise ProjectArchived


def restore_project(*, project: Project) -> None:
    """Take it out of the archive."""
    Project.objects.filter(pk=project.pk).update(archived_at=None)
    project.archived_at = None
