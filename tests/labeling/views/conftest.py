"""A project and its manager, for the pages of people."""

from __future__ import annotations

import pytest

from labeling.models import Project, User
from tests.factories import make_manager, make_project


@pytest.fixture
def manager(db: None) -> User:
    """Of the project `project`."""
    return make_manager(make_project(name="Rain"))


@pytest.fixture
def project(manager: User) -> Project:
    """Managed by `manager`."""
    return manager.memberships.get().project
