"""Guidelines: published as versions, none of them ever changed, and read before the work."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max

from labeling.models import Guidelines, GuidelinesRead, Project, User
from labeling.prepared import Given, Prepared

_READINGS = Prepared(
    lambda: GuidelinesRead.objects.filter(guidelines=Given("guidelines"), user=Given("user"))
)


def publish(*, project: Project, text: str, by: User | None = None) -> Guidelines | None:
    """Put `text` in force as the next version. The same text again changes nothing.

    None: there were none, and the text is empty. An empty text later on is a version too.
    """
    text = text.replace("\r\n", "\n").strip()
    with transaction.atomic():
        held = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        if text == held.guidelines_text:
            return held.guidelines
        last = held.guideline_versions.aggregate(n=Max("version"))["n"] or 0
        fresh = Guidelines.objects.create(project=held, version=last + 1, text=text, created_by=by)
        Project.objects.filter(pk=held.pk).update(guidelines=fresh)
        if by is not None:
            GuidelinesRead.objects.create(guidelines=fresh, user=by)
    project.guidelines = fresh
    return fresh


def to_be_read(*, project: Project, user: User) -> Guidelines | None:
    """The version in force where `user` has not had it before their eyes; None where they have."""
    current = project.guidelines
    if current is None or not current.text:
        return None
    return None if _READINGS.first(guidelines=current.pk, user=user.pk) else current


def mark_read(*, guidelines: Guidelines, user: User) -> None:
    """`user` has read this version. Twice is once."""
    GuidelinesRead.objects.get_or_create(guidelines=guidelines, user=user)


def last_read(*, project: Project, user: User) -> Guidelines | None:
    """The newest version that `user` has read."""
    read = project.guideline_versions.filter(readings__user=user)
    return read.order_by("-version").first()
