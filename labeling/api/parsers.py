"""What a body may be: JSON of a bounded size, so that a request cannot eat the server's memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from labeling.api.errors import TooLarge


class BoundedJSONParser(JSONParser):
    """JSON up to DATA_UPLOAD_MAX_MEMORY_SIZE bytes, which DRF's own parser does not look at."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Parse the body. Raises TooLarge (413) or ParseError (400)."""
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        context = parser_context or {}
        if int(context["request"].META.get("CONTENT_LENGTH") or 0) > limit:
            message = _("The body is larger than %(limit)d MiB; send it in parts, or as a file.")
            raise TooLarge(message % {"limit": limit // 2**20})
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError(_("The JSON is nested too deeply.")) from None
