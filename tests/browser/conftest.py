"""A real Chromium in front of the real server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from labeling.models import Project, User
from tests.factories import make_labeler, make_project

# Playwright runs an event loop in this thread, and Django then thinks it is called from one.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
PATIENCE = 10_000
"""Milliseconds: this machine may be busy."""

NewPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for each process of pytest."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "These tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield chromium
        chromium.close()


@pytest.fixture
def new_page(browser: Browser, live_server: LiveServer) -> Iterator[NewPage]:
    """Open a page, signed in as `user`: new_page(user, javascript=False, width=390, …).

    A page that writes an error to its console, or breaks the Content-Security-Policy, fails the
    test; `page.expected` lists parts of messages that are all right.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    allowed: list[str] = []

    def opened(
        user: User | None = None,
        *,
        javascript: bool = True,
        width: int = 1440,
        height: int = 900,
        allow: tuple[str, ...] = (),
        context: BrowserContext | None = None,
    ) -> Page:
        if context is None:
            context = browser.new_context(
                base_url=live_server.url,
                java_script_enabled=javascript,
                viewport={"width": width, "height": height},
            )
            context.set_default_timeout(PATIENCE)
            contexts.append(context)
        if user is not None:
            sign_in(context, live_server.url, user)
        allowed.extend(allow)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text) if message.type in {"error", "warning"} else None
            ),
        )
        return page

    yield opened
    for context in contexts:
        context.close()
    unexpected = [text for text in complaints if not any(part in text for part in allowed)]
    assert unexpected == []


def sign_in(context: BrowserContext, url: str, user: User) -> None:
    """Give `context` a session of `user`; the sign-in page has tests of its own."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": url}])


@pytest.fixture
def project(transactional_db: None) -> Project:
    """A project with K = 4."""
    return make_project(name="Rain", guidelines="Prefer what is true.")


@pytest.fixture
def labeler(project: Project) -> User:
    """Its labeler."""
    return make_labeler(project, "lin")
