"""A project and two of its labelers."""

from __future__ import annotations

import os
from pathlib import Path

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


@pytest.fixture(params=["sqlite", "postgresql"])
def race_database(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment that puts a process onto an empty database of its own."""
    environment = dict(os.environ) | {"RANKLOOP_DATA": str(tmp_path)}
    environment.pop("RANKLOOP_DATABASE", None)
    if request.param == "postgresql":
        environment["RANKLOOP_DATABASE"] = request.getfixturevalue("postgres_url")
    return environment
