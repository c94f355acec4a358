"""One shape for every error: `{"code", "detail"}`, and `"field"` where one is to blame.

Several faults in one body stand in `"errors"` as well, each with its field and code. Knows nothing
of nouns: refusals bring their own code, status and sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils.translation import gettext as _
from rest_framework import exceptions, serializers, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from labeling.refusals import Refusal

NON_FIELD = frozenset({"non_field_errors", "__all__"})


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn what a view raised into a response; None (a 500) for what nobody foresaw."""
    if isinstance(exc, Refusal):
        return Response(_refusal(exc), status=exc.status)
    if isinstance(exc, RequestDataTooBig):
        message = _("The body is larger than %(limit)d bytes; send it in parts, or as a file.")
        detail = message % {"limit": settings.DATA_UPLOAD_MAX_MEMORY_SIZE}
        return Response({"code": "too_large", "detail": detail}, status=413)
    if isinstance(exc, DjangoValidationError):
        exc = exceptions.ValidationError(serializers.as_serializer_error(exc))
    response = exception_handler(exc, context)
    if response is None:
        return None
    response.data = _body(exc, response)
    return response


def _refusal(refusal: Refusal) -> dict[str, Any]:
    """The refusal's own words; those that know which fields they mean say so.

    A refusal of settings has `fields` or `problems`: sentences by field, or just sentences.
    """
    body: dict[str, Any] = {"code": refusal.code, "detail": str(refusal.message)}
    said: Any = getattr(refusal, "fields", None) or getattr(refusal, "problems", None) or ()
    if isinstance(said, Mapping):
        faults = [
            {"code": refusal.code, "detail": str(text), "field": field}
            for field, texts in said.items()
            for text in texts
        ]
    else:
        faults = [{"code": refusal.code, "detail": str(text)} for text in said]
    return body | (faults[0] if faults else {}) | ({"errors": faults} if len(faults) > 1 else {})


def _body(exc: Exception, response: Response) -> dict[str, Any]:
    if isinstance(exc, exceptions.ValidationError):
        faults = list(_faults(exc.get_full_details(), ""))
        first = faults[0] if faults else {"code": "invalid", "detail": _("Invalid input.")}
        return first | ({"errors": faults} if len(faults) > 1 else {})
    if response.status_code == status.HTTP_404_NOT_FOUND:
        return {"code": "not_found", "detail": _("There is no such thing here, or not for you.")}
    if isinstance(exc, exceptions.APIException):
        codes = exc.get_codes()
        code = codes if isinstance(codes, str) else str(exc.default_code)
        return {"code": code, "detail": str(exc.detail)}
    return {"code": "permission_denied", "detail": _("You may not do this.")}


def _faults(details: Any, path: str) -> Iterator[dict[str, str]]:
    """Flatten nested validation errors: `{"messages": [{}, {"role": …}]}` → `messages.1.role`."""
    if isinstance(details, Mapping) and set(details) == {"message", "code"}:
        fault = {"code": str(details["code"]), "detail": str(details["message"])}
        yield fault | ({"field": path} if path else {})
    elif isinstance(details, Mapping):
        for key, value in details.items():
            yield from _faults(value, path if key in NON_FIELD else _join(path, str(key)))
    elif isinstance(details, Sequence):
        leaves = all(isinstance(item, Mapping) and "message" in item for item in details)
        for index, item in enumerate(details):
            yield from _faults(item, path if leaves else _join(path, str(index)))


def _join(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part
