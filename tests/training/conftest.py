"""A data folder of its own for each test, and rounds taken as far as a test needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from labeling.models import Project
from tests import factories
from training.plans import update_plan

SMALL: dict[str, dict[str, Any]] = {
    "reward": {"folds": 3, "finetune": "never", "bootstrap": 50, "threads": 1},
    "ppo": {
        "episodes": 16,
        "prompts_per_batch": 4,
        "samples_per_prompt": 2,
        "minibatches": 2,
        "evaluate_every": 8,
        "development_samples": 4,
        "threads": 1,
    },
    "evaluate": {"bootstrap": 50, "threads": 1},
}
"""Overrides with which a whole round takes seconds."""


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


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's folder, made by the trainer's own command."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    made = subprocess.run(
        [sys.executable, "-m", "training.rlhf.tiny_model", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def tiny_project(db: None, tiny_model: Path) -> Project:
    """A project on the tiny model, with small numbers everywhere."""
    project = factories.make_project(
        base_model=str(tiny_model), slates_ahead=6, max_new_tokens=8, k=3
    )
    update_plan(project=project, overrides=SMALL, evaluation_prompts=8)
    return project
