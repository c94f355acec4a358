"""The real product, started as a person starts it, in a folder of its own, with a tiny model."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.config.running import QUEUES, ROOT, Product, running
from tests.servers import free_port

WEB_MEGABYTES = 120
pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("product")]


@pytest.fixture(scope="module")
def product(
    tmp_path_factory: pytest.TempPathFactory, product_python: Path, tiny_model: Path
) -> Iterator[Product]:
    """One that runs for all tests of this module that leave it running."""
    folder = tmp_path_factory.mktemp("product") / "data"
    started = Product(folder, free_port(), product_python, RANKLOOP_MODEL=str(tiny_model))
    with running(started):
        yield started


@pytest.fixture
def fresh(tmp_path: Path, product_python: Path, tiny_model: Path) -> Iterator[Product]:
    """One of the test's own."""
    started = Product(
        tmp_path / "data", free_port(), product_python, RANKLOOP_MODEL=str(tiny_model)
    )
    yield started
    if started.process.poll() is None:
        started.process.kill()
        started.process.wait()
    for pid in started.processes():
        os.kill(pid, signal.SIGKILL)


def test_it_prints_the_address_and_a_link_that_signs_in_once(product: Product) -> None:
    link = product.says(r"Sign in as the owner .*: (http://\S+)$")
    path = urllib.parse.urlsplit(link).path
    assert product.get("/sign-in/").status == 200
    page = product.get(path)
    text = page.read().decode()
    assert page.status == 200
    cookie = (page.getheader("Set-Cookie") or "").partition(";")[0]
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text)
    assert token is not None
    statuses = []
    for _ in range(2):
        connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=20)
        body = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1]})
        headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        statuses.append(answer.status)
    assert statuses == [302, 410]
    assert not (product.folder / "run" / "sign-in-link").exists()


def test_all_processes_are_there(product: Product) -> None:
    for part in ("valkey-server", "granian", *(f"config.worker {q}" for q in QUEUES), "beat"):
        assert product.pids(part), part


def test_web_and_workers_are_small_and_know_no_torch(product: Product) -> None:
    for path in ("/sign-in/", "/health/", "/api/v1/", "/static/css/rankloop.css"):
        for _ in range(20):
            product.get(path).read()
    web = product.pids("granian")
    assert len(web) >= 2
    for pid in web:
        resident = psutil.Process(pid).memory_info().rss / 2**20
        assert resident <= WEB_MEGABYTES, (product.processes()[pid], resident)
    for pid in (*web, *product.pids("config.worker"), *product.pids("beat")):
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "libtorch" not in maps, product.processes()[pid]


def test_only_its_user_reaches_the_broker(product: Product) -> None:
    sockets = list((product.folder / "run").glob("*.sock")) or list(
        Path("/tmp").glob(f"rankloop-{os.getuid()}-*/valkey.sock")
    )
    assert sockets
    for path in sockets:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0


def test_a_second_start_on_the_same_folder_is_refused(product: Product) -> None:
    second = subprocess.run(
        [str(product.python), "-m", "config.serve"],
        cwd=ROOT,
        env=product.environment | {"RANKLOOP_PORT": str(free_port())},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert second.returncode == 2
    assert f"Rankloop is running already on {product.folder}" in second.stderr
    assert "Traceback" not in second.stderr
    assert product.is_up()


@pytest.mark.parametrize("part", ["granian", "valkey-server", "config.worker training"])
def test_what_is_killed_comes_again(product: Product, part: str) -> None:
    before = product.pids(part)
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 30
    now: list[int] = []
    while (not now or set(now) & set(before)) and time.monotonic() < deadline:
        time.sleep(0.1)
        now = product.pids(part)
    assert now
    assert not set(now) & set(before)
    product.wait_until_up()


def test_work_goes_on_after_the_broker_was_killed(product: Product) -> None:
    for _ in range(2):
        os.kill(product.pids("valkey-server")[0], signal.SIGKILL)
        after = last_look_of_the_sampler(product)
        deadline = time.monotonic() + 60
        # One call goes on looking for twelve seconds; a later one comes by a new message.
        while last_look_of_the_sampler(product) < after + 20 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert last_look_of_the_sampler(product) >= after + 20


def last_look_of_the_sampler(product: Product) -> float:
    """When the sampling worker last looked for work, in seconds since 1970; 0 for never."""
    rows = sqlite3.connect(product.folder / "rankloop.sqlite3", timeout=20)
    with contextlib.closing(rows):
        found = rows.execute("SELECT max(sampler_seen_at) FROM training_device").fetchone()[0]
    return 0.0 if found is None else datetime.fromisoformat(f"{found}+00:00").timestamp()


def test_it_runs_on_postgresql_and_redis(
    tmp_path: Path, product_python: Path, tiny_model: Path, postgres_url: str, redis_url: str
) -> None:
    product = Product(
        tmp_path / "data",
        free_port(),
        product_python,
        RANKLOOP_MODEL=str(tiny_model),
        RANKLOOP_DATABASE=postgres_url,
        RANKLOOP_BROKER=redis_url,
    )
    try:
        product.wait_until_ready()
        product.says("celery.apps.worker: .* ready", times=len(QUEUES))
        assert not product.pids("valkey-server")
        assert not (product.folder / "rankloop.sqlite3").exists()
        with psycopg.connect(postgres_url) as connection:
            deadline = time.monotonic() + 60
            looked = None
            while looked is None and time.monotonic() < deadline:
                time.sleep(0.2)
                row = connection.execute("SELECT max(sampler_seen_at) FROM training_device")
                looked = (row.fetchone() or (None,))[0]
                connection.rollback()
        assert looked is not None
    finally:
        assert product.end() == 0
    product.wait_until_gone()


def test_a_taken_port_is_named(tmp_path: Path, product_python: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        product = Product(tmp_path / "data", other.getsockname()[1], product_python)
        assert product.process.wait(60) == 2
    said = product.log.read_text()
    assert f"port {product.port} of 127.0.0.1 is taken by another program" in said
    assert "RANKLOOP_PORT" in said
    assert "Traceback" not in said
    product.wait_until_gone()


def test_a_wrong_setting_stops_the_start_in_one_sentence(
    tmp_path: Path, product_python: Path
) -> None:
    product = Product(tmp_path / "data", free_port(), product_python, RANKLOOP_DEVICE="gpu")
    assert product.process.wait(60) == 2
    said = product.log.read_text()
    assert "RANKLOOP_DEVICE is 'gpu': must be auto, cpu, cuda or cuda:NUMBER" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_leaves_nobody(fresh: Product, number: signal.Signals) -> None:
    deadline = time.monotonic() + 30
    while not fresh.pids("config.prepare") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert fresh.end(number) == 0
    assert fresh.processes() == {}


def test_stopped_by_ctrl_c_it_leaves_nobody_and_goes_on_when_started_again(
    fresh: Product,
) -> None:
    fresh.wait_until_ready()
    key = (fresh.folder / "secret_key").read_text()
    assert fresh.end() == 0
    assert fresh.processes() == {}
    fresh.process = fresh.start()
    fresh.says("Rankloop is ready", times=2)
    assert (fresh.folder / "secret_key").read_text() == key
    assert fresh.log.read_text().count("created the account of the owner") == 1
    assert fresh.end(signal.SIGTERM) == 0
    assert fresh.processes() == {}


def test_killed_it_leaves_nobody_and_the_next_start_waits_for_that(fresh: Product) -> None:
    fresh.wait_until_ready()
    fresh.process.kill()
    fresh.process.wait()
    fresh.process = fresh.start()
    fresh.says("Rankloop is ready", times=2)
    assert fresh.log.read_text().count("created the account of the owner") == 1
    fresh.process.kill()
    fresh.process.wait()
    fresh.wait_until_gone()
