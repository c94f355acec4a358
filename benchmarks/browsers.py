"""A real Chromium in front of a server: what a page takes to load, and what it complains of.

Knows nothing of the product but the name of its session's cookie.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, BrowserContext, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

QUIET = 500
"""Milliseconds: twice so long without a request under way, and all of a page is there."""
QUIET_WITHIN = 60.0
"""Seconds."""


def chromium_path() -> str:
    """Where Chromium is. Raises RuntimeError."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise RuntimeError("Chromium is needed: apt-get install chromium")
    return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless one."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def signed_in_context(browser: Browser, port: int, session: str) -> Iterator[BrowserContext]:
    """A window of somebody who is signed in, with an empty cache."""
    address = f"http://127.0.0.1:{port}"
    context = browser.new_context(base_url=address, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
    yield context
    context.close()


@dataclass
class Visit:
    """One page, loaded with an empty cache. `bytes`: of each answer on the wire, head and body."""

    bytes: dict[str, int] = field(default_factory=dict)
    encodings: dict[str, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Bytes."""
        return sum(self.bytes.values())

    def listed(self) -> str:
        """A line for each answer, the heaviest first."""
        ordered = sorted(self.bytes.items(), key=lambda item: -item[1])
        return "\n".join(f"{size:8,} {self.encodings[url]:5} {url}" for url, size in ordered)


def visit(context: BrowserContext, address: str, *, wait_for: str = "main") -> Visit:
    """Load a page until all that it asks for is there."""
    seen = Visit()
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    urls: dict[str, str] = {}
    under_way: set[str] = set()

    def asked(event: dict[str, object]) -> None:
        under_way.add(str(event["requestId"]))

    def failed(event: dict[str, object]) -> None:
        under_way.discard(str(event["requestId"]))

    def answered(event: dict[str, object]) -> None:
        response = event["response"]
        assert isinstance(response, dict)
        url = str(response["url"])
        urls[str(event["requestId"])] = url
        heads = {name.lower(): value for name, value in response["headers"].items()}
        seen.encodings[url] = heads.get("content-encoding", "")

    def finished(event: dict[str, object]) -> None:
        under_way.discard(str(event["requestId"]))
        url = urls.get(str(event["requestId"]))
        if url is not None and not url.startswith("data:"):
            length = event["encodedDataLength"]
            assert isinstance(length, int | float)
            seen.bytes[url] = seen.bytes.get(url, 0) + int(length)

    session.on("Network.requestWillBeSent", asked)
    session.on("Network.loadingFailed", failed)
    session.on("Network.responseReceived", answered)
    session.on("Network.loadingFinished", finished)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            seen.complaints.append(message.text) if message.type in {"error", "warning"} else None
        ),
    )
    page.goto(address)
    page.wait_for_selector(wait_for, state="attached")
    deadline = time.monotonic() + QUIET_WITHIN
    quiet = 0
    while quiet < 2 and time.monotonic() < deadline:
        page.wait_for_timeout(QUIET)
        quiet = 0 if under_way else quiet + 1
    page.close()
    return seen
