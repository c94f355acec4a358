"""Browsers without a browser: Django's test client as one person or another."""

from __future__ import annotations

from django.test import Client

from labeling.hidden_numbers import Of, hidden
from labeling.models import User


def as_user(user: User) -> Client:
    """A client in which `user` is signed in."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def signed_in_as(client: Client) -> User | None:
    """Who is signed in there."""
    pk = client.session.get("_auth_user_id")
    return User.objects.get(pk=pk) if pk else None


def numbered(completion: int) -> int:
    """The number that stands for this completion's id in forms of labelers."""
    return hidden(Of.COMPLETION, completion)
