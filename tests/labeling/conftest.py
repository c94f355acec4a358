"""A project and two of its labelers."""

from __future__ import annotations

import pytest

from labeling.models import Project, User
from tests.factories import make_labeler, make_project


@pytest.fixture
def project(db: None) -> Project:
    """With K = 4."""
    return make_project()


@pytest.fixture
def ann(project: Project) -> User:
    """A labeler."""
    return make_labeler(project)


@pytest.fixture
def ben(project: Project) -> User:
    """Another one."""
    return make_labeler(project)
