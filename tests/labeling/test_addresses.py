"""Who is locked out: the address that the one trusted proxy saw, not the proxy's."""

from __future__ import annotations

import pytest
from axes.helpers import get_client_ip_address
from django.test import RequestFactory
from rest_framework.settings import api_settings


@pytest.mark.parametrize(
    ("hops", "forwarded", "address"),
    [
        (0, "", "10.0.0.1"),
        (0, "203.0.113.7", "10.0.0.1"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "1.2.3.4, 203.0.113.7", "203.0.113.7"),
        (1, "2001:db8::7", "2001:db8::7"),
        (1, "", "10.0.0.1"),
        (1, "not an address", "10.0.0.1"),
    ],
)
def test_a_lockout_is_of_the_address_behind_the_proxy(monkeypatch, hops, forwarded, address):
    monkeypatch.setattr(api_settings, "NUM_PROXIES", hops)
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="10.0.0.1")
    assert get_client_ip_address(request) == address
