"""Clients of the REST API, each with a token of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from labeling.models import Project, User
from labeling.people import issue_token

ALL = ("read", "write", "train")


@pytest.fixture(autouse=True)
def _no_failed_attempts_yet() -> None:
    """Counts of wrong tokens live in the cache, which outlives a test."""
    cache.clear()


@pytest.fixture
def api(db: None) -> Callable[..., APIClient]:
    """`api(user, "read", project=None)`: a client with a fresh token of these scopes."""

    def make(user: User, *scopes: str, project: Project | None = None) -> APIClient:
        _token, secret = issue_token(user=user, name="test", scopes=scopes or ALL, project=project)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return client

    return make
