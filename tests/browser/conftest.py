"""A real Chromium in front of the real server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Request
from pytest_django.live_server_helper import LiveServer

from labeling.guidelines import mark_read
from labeling.models import Project, User
from tests.factories import make_labeler, make_project

PATIENCE = 10_000
"""Milliseconds: this machine may be busy."""

NewPage = Callable[..., Page]


@pytest.fixture
def new_page(browser: Browser, live_server: LiveServer) -> Iterator[NewPage]:
    """Open a page, signed in as `user`: new_page(user, javascript=False, width=390, …).

    A page that writes an error to its console, or breaks the Content-Security-Policy, fails the
    test; `page.expected` lists parts of messages that are all right.
    """
    contexts: list[BrowserContext] = []
    waiting: set[Request] = set()
    complaints: list[str] = []
    over: list[
        bool
    ] = []  # what a page says when its network is taken away to close it is our doing
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
            watch(context, waiting)
        if user is not None:
            sign_in(context, live_server.url, user)
        allowed.extend(allow)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if message.type in {"error", "warning"} and not over
                else None
            ),
        )
        return page

    yield opened
    over.append(True)
    for context in contexts:
        let_go(context, waiting)
    unexpected = [text for text in complaints if not any(part in text for part in allowed)]
    assert unexpected == []


def watch(context: BrowserContext, waiting: set[Request]) -> None:
    """Keep in `waiting` what the context has asked for and not yet been answered."""

    def asked(request: Request) -> None:
        waiting.add(request)

    def answered(request: Request) -> None:
        waiting.discard(request)

    context.on("request", asked)
    context.on("requestfinished", answered)
    context.on("requestfailed", answered)


def let_go(context: BrowserContext, waiting: set[Request]) -> None:
    """Close a context once the server has answered it; a closing page's beacon goes nowhere.

    Else a draft may be written while the test's database is emptied.
    """
    deadline = time.monotonic() + PATIENCE / 1000
    while waiting and context.pages and time.monotonic() < deadline:
        context.pages[0].wait_for_timeout(20)
    waiting.clear()
    context.set_offline(True)
    context.close()


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
    """Its labeler, who has read the guidelines."""
    user = make_labeler(project, "lin")
    mark_read(guidelines=project.guidelines, user=user)
    return user
