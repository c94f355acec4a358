"""What every test may ask for: servers, databases of its own on them, and a browser."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from django.utils import translation
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, expect

from benchmarks.browsers import chromium
from tests import servers
from tests.lengths import at_least
from tests.product_packages import make_environment

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "fuzz",
    max_examples=at_least(100, "EXAMPLES"),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
if at_least(0, "EXAMPLES"):
    settings.load_profile("fuzz")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests that share what is costly run in one process, or two products at once fight for cores.

    pytest-xdist writes the group into each id, which pytest 9.2 does not let it.
    """
    if session.config.getoption("loadgroup", default=False):
        grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
        if any("@" not in item.nodeid for item in grouped):
            raise pytest.UsageError("groups of tests have no effect with these versions of pytest")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that was skipped has shown nothing: that fails as well."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def one_language() -> Iterator[None]:
    """A language that a test switched on ends with it: a thread would keep it for the next one."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for each process of pytest: Playwright can be started once in a thread."""
    # Playwright runs an event loop in this thread, and Django then thinks it is called from one.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=15_000)  # this machine may be busy
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def product_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that finds the packages of `make run`, and none of development's."""
    return make_environment(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, product_python: Path) -> Path:
    """A tiny model's folder, made by the trainer's own command. Not to be written to."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    command = [str(product_python), "-m", "training.rlhf.tiny_model", str(folder)]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """One PostgreSQL server per process of pytest, with fsync off."""
    with servers.postgres() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty PostgreSQL database: postgres://postgres@127.0.0.1:PORT/NAME."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_server.rpartition("/")[0] + "/" + name
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """One Redis server per process of pytest."""
    with servers.redis() as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """An empty Redis database: redis://127.0.0.1:PORT/0."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server
