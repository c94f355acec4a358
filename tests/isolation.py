"""Loaded before Django (`-p tests.isolation` in pyproject.toml): tests see no one's own settings.

What is kept from the environment: RANKLOOP_DATABASE, with which a run can be put on PostgreSQL,
RANKLOOP_BROKER, and what says how long a test goes on (RANKLOOP_TEST_…, see `tests/lengths.py`).
The data folder is a fresh one for each process of pytest.
"""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

KEPT = ("RANKLOOP_DATABASE", "RANKLOOP_BROKER")
LENGTHS = "RANKLOOP_TEST_"

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several processes of tests share the cores
kept = {name: os.environ[name] for name in KEPT if name in os.environ}
for name in [
    name for name in os.environ if name.startswith("RANKLOOP_") and not name.startswith(LENGTHS)
]:
    del os.environ[name]
os.environ |= {
    # Where the environment names none, messages go nowhere, at once.
    "RANKLOOP_BROKER": "memory://",
    "RANKLOOP_DATA": tempfile.mkdtemp(prefix="rankloop-tests-"),
    # Static files by their plain names: no manifest is built for tests. Django's own DEBUG is
    # off again in each test, as pytest-django sees to.
    "RANKLOOP_DEBUG": "true",
    "RANKLOOP_ENV_FILE": os.devnull,
} | kept


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the data folder."""
    shutil.rmtree(os.environ["RANKLOOP_DATA"], ignore_errors=True)
