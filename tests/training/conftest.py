"""A data folder of its own for each test, and rounds taken as far as a test needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from labeling.models import Project
from tests import factories
from tests.tiny_runs import OVERRIDES
from training.plans import update_plan


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, settings: Settings) -> Path:
    """Artifacts, run directories and caches go to this test's own folder."""
    settings.DATA_DIR = tmp_path
    settings.STORAGES = {
        **settings.STORAGES,
        "artifacts": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "artifacts"},
        },
    }
    return tmp_path


@pytest.fixture
def project(db: None) -> Project:
    """A project with a base model that nobody loads."""
    return factories.make_project(base_model="some-model", slates_ahead=4)


@pytest.fixture
def tiny_project(db: None, tiny_model: Path) -> Project:
    """A project on the tiny model, with small numbers everywhere."""
    project = factories.make_project(
        base_model=str(tiny_model), slates_ahead=6, max_new_tokens=8, k=3
    )
    update_plan(project=project, overrides=OVERRIDES, evaluation_prompts=8)
    return project
