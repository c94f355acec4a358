"""The real product, started as `make run` starts it, and people in front of it in Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.config.running import Product, running
from tests.servers import free_port

ACTION_SECONDS = 60
"""For a click or a page on a machine that trains meanwhile."""

OpenPage = Callable[..., Page]


@pytest.fixture
def product(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    product_python: Path,
    tiny_model: Path,
    servers: bool,
) -> Iterator[Product]:
    """Started with the tiny model, its workers ready; after the test it leaves nobody behind.

    servers: on PostgreSQL and Redis, instead of SQLite and the embedded broker.
    """
    settings = {"RANKLOOP_MODEL": str(tiny_model), "OMP_NUM_THREADS": "1"}
    if servers:
        settings["RANKLOOP_DATABASE"] = request.getfixturevalue("postgres_url")
        settings["RANKLOOP_BROKER"] = request.getfixturevalue("redis_url")
    with running(Product(tmp_path / "data", free_port(), product_python, **settings)) as product:
        yield product


@pytest.fixture
def open_page(browser: Browser, product: Product) -> Iterator[OpenPage]:
    """`open_page(scripts=True)`: a page in a browser of its own, as on another computer.

    An error on a page's console, a broken Content-Security-Policy or an answer of 500 or more
    fails the test.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(*, scripts: bool = True) -> Page:
        context = browser.new_context(
            base_url=f"http://127.0.0.1:{product.port}", java_script_enabled=scripts
        )
        context.set_default_timeout(ACTION_SECONDS * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text) if message.type in {"error", "warning"} else None
            ),
        )
        page.on(
            "response",
            lambda answer: (
                complaints.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None
            ),
        )
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
