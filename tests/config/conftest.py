"""A tiny model for the real product."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.config.running import ROOT


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    subprocess.run(
        [sys.executable, "-m", "training.rlhf.tiny_model", str(folder)], cwd=ROOT, check=True
    )
    return folder
