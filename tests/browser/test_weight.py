"""What the pages weigh on their way to a browser, and that nothing comes from elsewhere.

In front of the real server, with static files as an installation serves them: hashed, compressed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from benchmarks.browsers import Visit, signed_in_context, visit
from benchmarks.web_server import WebServer, in_folder, told_by, web_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

Scene = tuple[WebServer, dict[str, Any]]
"""A server, and what `labeling_scene` told of its project."""
MOST = 120 * 1024
"""Bytes of the ranking page with four completions, all of it, compressed."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A small project behind the product's web server."""
    folder: Path = tmp_path_factory.mktemp("weight")
    in_folder(folder, "config.prepare")
    told = told_by(folder, "benchmarks.labeling_scene", "400", "1")
    with web_server(folder) as server:
        yield server, told


def test_the_ranking_page_is_light_and_asks_nobody_else(browser: Browser, scene: Scene) -> None:
    server, told = scene
    [labeler] = told["labelers"]
    with signed_in_context(browser, server.port, labeler) as context:
        seen: Visit = visit(context, f"/projects/{told['slug']}/rank/", wait_for=".place, .tray")
    assert {urlsplit(url).netloc for url in seen.bytes} == {f"127.0.0.1:{server.port}"}
    assert seen.total <= MOST, seen.listed()
    assert seen.complaints == []
    assert len(seen.bytes) > 5
    assert [url for url, how in seen.encodings.items() if how not in {"gzip", "br"}] == []
