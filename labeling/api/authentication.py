"""Who asks: a token in the Authorization header. Only hashes of tokens are stored.

Knows nothing of what the token may do; that is `labeling.api.permissions`.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from labeling import people
from labeling.models import Token, User

KEYWORDS = frozenset({b"bearer", b"token"})


class FailedTokenThrottle(SimpleRateThrottle):
    """Counts wrong tokens by address; right ones cost nothing.

    Secrets have 256 bits, so nobody guesses one: this tells a script with a stale token, or a
    scanner, to go slow. Neighbours behind the same address with right tokens don't notice. The
    count lives in the cache of one web process.
    """

    scope = "failed-tokens"
    rate = "30/min"

    def get_cache_key(self, request: Request, view: Any) -> str:
        """One count for each address."""
        ident = self.get_ident(request)
        return self.cache_format % {"scope": self.scope, "ident": ident}

    def throttle_success(self) -> bool:
        """Looking is free; only `record` counts."""
        return True

    def record(self) -> None:
        """Count a wrong token. Call `allow_request` first."""
        super().throttle_success()


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <secret>`; `Token <secret>` is understood as well."""

    def authenticate(self, request: Request) -> tuple[User, Token] | None:
        """The token and its user; None without the header.

        Raises AuthenticationFailed (401) for a token that is wrong, expired, revoked or belongs to
        someone who was deactivated, and Throttled (429) after too many of those.
        """
        words = get_authorization_header(request).split()
        if not words or words[0].lower() not in KEYWORDS:
            return None
        token = people.authenticate_token(secret=_secret(words))
        if token is None:
            _count_failure(request)
            raise AuthenticationFailed(
                _("This token is not valid: it is wrong, expired or revoked."), code="bad_token"
            )
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """What a 401 names as the way in."""
        return 'Bearer realm="Rankloop"'


def _count_failure(request: Request) -> None:
    """Note a wrong token. Raises Throttled after too many from one address."""
    throttle = FailedTokenThrottle()
    if not throttle.allow_request(request, None):  # type: ignore[arg-type]  # no view needed
        raise Throttled(wait=throttle.wait(), detail=_("Too many wrong tokens."))
    throttle.record()


def _secret(words: list[bytes]) -> str:
    """The one word after the keyword; an empty string, which no token has, for anything else."""
    try:
        return words[1].decode("ascii") if len(words) == 2 else ""
    except UnicodeDecodeError:
        return ""
