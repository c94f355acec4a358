"""A seeded project and people who look at it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from labeling.models import User
from tests.factories import make_labeler, make_researcher
from tests.training.seeds import Seeded, seed_loop

SignIn = Callable[[User], Client]
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def seeded(db) -> Seeded:
    """Two finished rounds, and one whose PPO runs."""
    return seed_loop(rounds=2, rankings=6, steps=8)


@pytest.fixture
def signed_in() -> SignIn:
    """A client with a session of `user`."""

    def client_of(user: User) -> Client:
        client = Client()
        client.force_login(user, backend=BACKEND)
        return client

    return client_of


@pytest.fixture
def manager(seeded: Seeded, signed_in: SignIn) -> Client:
    """The manager's browser."""
    return signed_in(seeded.manager)


@pytest.fixture
def researcher(seeded: Seeded, signed_in: SignIn) -> Client:
    """A researcher's browser."""
    return signed_in(make_researcher(seeded.project))


@pytest.fixture
def labeler(seeded: Seeded, signed_in: SignIn) -> Client:
    """A labeler's browser."""
    return signed_in(make_labeler(seeded.project))
