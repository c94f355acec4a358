"""The servers that other tests stand on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

from config import guardian

ROOT = Path(__file__).resolve().parents[2]


def test_postgres_is_real_and_empty(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        version = connection.execute("SHOW server_version_num").fetchone()
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
    assert version is not None
    assert int(version[0]) >= 150000
    assert tables == (0,)


def test_each_test_gets_a_database_of_its_own(postgres_server: str, postgres_url: str) -> None:
    assert postgres_url != postgres_server
    with psycopg.connect(postgres_server) as connection:
        rows = connection.execute("SELECT datname FROM pg_database").fetchall()
    assert (postgres_url.rpartition("/")[2],) in rows


def test_redis_is_real_and_empty(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        assert client.ping()


@pytest.mark.kill
def test_a_server_ends_when_the_tests_are_killed(tmp_path: Path) -> None:
    script = (
        "from tests import servers\n"
        "import time\n"
        "with servers.redis() as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(600)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert starter.stdout is not None
    url = starter.stdout.readline().strip()
    with redis.Redis.from_url(url) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    deadline = time.monotonic() + 20
    while guardian.is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not guardian.is_alive(pid)
