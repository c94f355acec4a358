"""Long answers as files: written while they are read, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.http import StreamingHttpResponse

BLOCK = 64 * 1024
"""Characters that go out at once: fewer, larger writes."""


def download(lines: Iterable[str], *, name: str) -> StreamingHttpResponse:
    """JSON Lines as a file called `name`, never kept by anything on the way."""
    return StreamingHttpResponse(
        blocks(lines),
        content_type="application/jsonl; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        },
    )


def blocks(lines: Iterable[str]) -> Iterator[bytes]:
    """The lines, joined into pieces of about BLOCK characters, as UTF-8.

    A text that UTF-8 cannot spell, which the database does not hold, would become "?".
    """
    held: list[str] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= BLOCK:
            yield "".join(held).encode("utf-8", "replace")
            held, size = [], 0
    if held:
        yield "".join(held).encode("utf-8", "replace")
