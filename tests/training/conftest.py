"""A data folder of its own for each test, and rounds taken as far as a test needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.storage import storages
from pytest_django import Settings

from labeling.models import Project
from tests import factories


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
    storages._storages.pop("artifacts", None)
    return tmp_path


@pytest.fixture
def project(db: None) -> Project:
    """A project with a base model that nobody loads."""
    return factories.make_project(base_model="some-model", slates_ahead=4)
