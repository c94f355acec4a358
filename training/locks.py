"""One at a time: what is read after the lock stays so until the transaction ends.

Within a transaction a run's row is locked before its project, a project before a round.
"""

from __future__ import annotations

from labeling.models import Project


def lock_project(project: int) -> None:
    """Nobody else who takes this lock goes on before this transaction ends. project: its id."""
    Project.objects.select_for_update(no_key=True).get(pk=project)
