"""Which language a page speaks: the person's choice, else the browser's."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import translation


class PersonsLanguage:
    """Middleware after the one that knows who is asking: their choice comes first.

    What `LocaleMiddleware` found (the cookie of the switch, the browser's wish) holds for others.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Keep the rest of the chain."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Speak the language that the person set in the account."""
        if request.user.is_authenticated and request.user.interface_language:
            translation.activate(request.user.interface_language)
            request.LANGUAGE_CODE = translation.get_language()
        return self.get_response(request)
