"""The ranking page as an installation serves it: static files hashed and compressed.

In front of the real web server, which can be killed and started anew.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from benchmarks.browsers import Visit, signed_in_context, visit
from benchmarks.product import free_port
from benchmarks.web_server import in_folder, told_by, web_server
from tests.browser.test_ranking_page import fetched_ahead, press, sent

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

Scene = tuple[Path, dict[str, Any]]
MOST = 120 * 1024
"""Bytes of the ranking page with four completions, all of it, compressed."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A data folder with a small project, and what was told of it."""
    folder: Path = tmp_path_factory.mktemp("served")
    in_folder(folder, "config.prepare")
    return folder, told_by(folder, "benchmarks.labeling_scene", "400", "2")


def test_the_ranking_page_is_light_and_asks_nobody_else(browser: Browser, scene: Scene) -> None:
    folder, told = scene
    with (
        web_server(folder) as server,
        signed_in_context(browser, server.port, told["labelers"][0]) as context,
    ):
        seen: Visit = visit(context, f"/projects/{told['slug']}/rank/", wait_for=".place, .tray")
    assert {urlsplit(url).netloc for url in seen.bytes} == {f"127.0.0.1:{server.port}"}
    assert seen.total <= MOST, seen.listed()
    assert seen.complaints == []
    assert len(seen.bytes) > 5
    assert [url for url, how in seen.encodings.items() if how not in {"gzip", "br"}] == []


def test_a_server_that_is_killed_and_started_anew_in_mid_ranking_costs_nothing(
    browser: Browser, scene: Scene
) -> None:
    folder, told = scene
    port, session = free_port(), told["labelers"][1]
    with signed_in_context(browser, port, session) as context:
        page = context.new_page()
        with web_server(folder, port=port) as server, fetched_ahead(page):
            page.goto(f"/projects/{told['slug']}/rank/")
            press(page, "b a")
            expect(page.locator("#saved")).to_contain_text("saved", timeout=60_000)
            os.kill(server.worker, signal.SIGKILL)
            server.process.kill()
        press(page, "d c t")
        page.keyboard.type("Said while nobody answered.")
        expect(page.locator("#saved")).to_have_text("not sent, kept in this browser")
        press(page, "Escape Enter")
        expect(page.locator("#outbox")).to_contain_text("1 not sent yet")
        press(page, "c d")
        with web_server(folder, port=port):
            sent(page)
            expect(page.locator("#saved")).to_contain_text("saved", timeout=60_000)
            page.goto(f"/projects/{told['slug']}/rankings/")
            expect(page.get_by_text("B > A > D > C").first).to_be_visible()
            page.goto(f"/projects/{told['slug']}/rankings/undo/")
            expect(page.get_by_label("Comment")).to_have_value("Said while nobody answered.")
            page.goto(f"/projects/{told['slug']}/rank/")
            expect(page.locator(".place")).to_have_count(2)
            expect(page.locator(".place").nth(0)).to_contain_text("C")
