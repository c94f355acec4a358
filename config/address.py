"""Under which address a person opens this installation."""

from __future__ import annotations

from config import settings
from config.health import served_host

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def public_address() -> str:
    """Scheme, host and port, without a slash at the end: what to type into a browser."""
    if settings.ORIGINS:
        return settings.ORIGINS[0]
    if settings.HTTPS:
        return f"https://{served_host(settings.HOSTS)}"
    host = served_host(settings.HOSTS) if settings.BIND in EVERYWHERE else settings.BIND
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{settings.PORT}"
