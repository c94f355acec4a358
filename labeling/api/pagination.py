"""Lists come in pages by key: page 1,000 costs what page 1 does, and new rows shift nothing."""

from __future__ import annotations

from rest_framework.pagination import CursorPagination


class OldestFirst(CursorPagination):
    """By id, the first row first; `?page_size=` up to 1,000."""

    ordering = "id"
    page_size_query_param = "page_size"
    max_page_size = 1000


class NewestFirst(OldestFirst):
    """By id, the last row first."""

    ordering = "-id"
