"""The web process of the real product: it stays small whatever people send it and look at."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.config.running import Product, running
from tests.servers import free_port

LARGEST = 120_000_000
"""Bytes of resident memory."""
LINE = 100_000
LINES = 3_000
MINE = ("", "rank/", "overview/", "prompts/", "prompts/import/", "people/", "rounds/", "quality/")
pytestmark = [pytest.mark.kill, pytest.mark.timeout(600), pytest.mark.xdist_group("product")]


@pytest.fixture(scope="module")
def product(
    tmp_path_factory: pytest.TempPathFactory, product_python: Path, tiny_model: Path
) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("at-work") / "data"
    started = Product(folder, free_port(), product_python, RANKLOOP_MODEL=str(tiny_model))
    with running(started):
        yield started


@pytest.fixture(scope="module")
def owner(product: Product) -> requests.Session:
    session = product.signed_in("owner")
    token = product.manage("issue_token", "owner", "--scopes", "read write train")
    address = f"http://127.0.0.1:{product.port}/api/v1/projects/"
    made = requests.post(
        address, json={"name": "Work", "k": 4}, headers={"Authorization": f"Bearer {token}"}
    )
    assert made.status_code == 201, made.text
    return session


def workers(product: Product) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in product.pids("granian")]


def resident(product: Product) -> int:
    """Bytes, of the largest process."""
    return max(process.memory_info().rss for process in workers(product))


def upload(product: Product, owner: requests.Session, file: Path) -> str:
    page = f"http://127.0.0.1:{product.port}/projects/work/prompts/import/"
    with file.open("rb") as opened:
        answer = product.submit(
            owner, page, page=page, data={"kind": "prompts"}, files={"file": (file.name, opened)}
        )
    return answer.text


def test_a_large_file_costs_no_memory_and_its_broken_line_is_named(
    product: Product, owner: requests.Session, tmp_path: Path
) -> None:
    for path in MINE:  # what is loaded once, for whoever comes first
        owner.get(f"http://127.0.0.1:{product.port}/projects/work/{path}")
    before = resident(product)
    large = tmp_path / "large.jsonl"
    with large.open("w") as file:
        for n in range(LINES):
            file.write(json.dumps({"prompt": f"{n} ".ljust(LINE, "x")}) + "\n")
        file.write('{"prompt": "the last line breaks off\n')
    said = upload(product, owner, large)
    said = " ".join(re.sub(r"<[^>]*>", " ", said).split())
    assert f" {LINES + 1} – is not JSON" in said, said
    assert resident(product) - before < 30_000_000
    prompts = owner.get(f"http://127.0.0.1:{product.port}/projects/work/prompts/").text
    assert "0 xx" not in prompts


def test_it_stays_small_while_people_work(
    product: Product, owner: requests.Session, tmp_path: Path
) -> None:
    some = tmp_path / "some.txt"
    some.write_text("".join(f"What is the number {n} good for?\n" for n in range(400)))
    upload(product, owner, some)
    root = f"http://127.0.0.1:{product.port}"
    deadline = time.monotonic() + 120
    while "Rank these 4 completions" not in owner.get(f"{root}/projects/work/rank/").text:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    for _ in range(5):
        for path in MINE:
            assert owner.get(f"{root}/projects/work/{path}").status_code == 200, path
    for process in workers(product):
        assert process.memory_info().rss <= LARGEST, process.memory_info()
