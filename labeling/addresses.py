"""From where a request comes, through the one proxy that stands in front under HTTPS."""

from __future__ import annotations

import ipaddress

from django.http import HttpRequest
from rest_framework.settings import api_settings


def client_address(request: HttpRequest) -> str | None:
    """The client's IP address, as the nearest trusted proxy saw it; None where there is none.

    As many hops are trusted as for the API (NUM_PROXIES): 0, and X-Forwarded-For is anybody's word;
    1, and its last entry is our proxy's.
    """
    forwarded = request.headers.get("X-Forwarded-For", "")
    hops = api_settings.NUM_PROXIES or 0
    seen = [request.META.get("REMOTE_ADDR", "")]
    if hops and forwarded:
        seen = [*forwarded.split(",")[-hops:], *seen]
    for text in seen:
        try:
            return str(ipaddress.ip_address(text.strip()))
        except ValueError:
            continue
    return None
