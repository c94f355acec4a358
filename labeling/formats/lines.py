"""Bytes to lines of text: strictly UTF-8, each line of limited length, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from django.utils.translation import gettext as _

MAX_LINE = 2**20
"""Bytes. The longest line (in CSV also the longest field) that is taken."""
UTF8_BOM = b"\xef\xbb\xbf"
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Line:
    """A line without its line break; the first has number 1."""

    number: int
    text: str


@dataclass(frozen=True)
class Row:
    """What a line says, by field. `line`: where it begins."""

    line: int
    values: dict[str, object]


@dataclass(frozen=True)
class Problem:
    """Why a line can't be taken, and what would be right. `field`: empty for the whole line."""

    line: int
    message: str
    field: str = field(default="")


def text_lines(file: BinaryIO) -> Iterator[Line | Problem]:
    """The lines of `file`, or what is wrong with them.

    UTF-16 ends the reading, since no line of it makes sense; other problems don't.
    """
    number = 0
    while raw := file.readline(MAX_LINE + 1):
        number += 1
        if number == 1:
            if _is_utf16(raw):
                yield Problem(1, _("the file is in UTF-16; save it as UTF-8"))
                return
            raw = raw.removeprefix(UTF8_BOM)
        if len(raw) > MAX_LINE:
            _skip_rest(file, raw)
            yield Problem(number, _("is longer than %d bytes; split it") % MAX_LINE)
            continue
        yield _decoded(number, raw.rstrip(b"\r\n"))


def _is_utf16(raw: bytes) -> bool:
    """By its mark, or by the zero bytes between Latin letters where there is none."""
    return raw.startswith(UTF16_BOMS) or (len(raw) > 1 and b"\x00" in raw[:2])


def _skip_rest(file: BinaryIO, raw: bytes) -> None:
    """Read on to the end of a line that is too long."""
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(MAX_LINE)


def _decoded(number: int, raw: bytes) -> Line | Problem:
    """The line as text, if it is UTF-8."""
    if b"\x00" in raw:
        return Problem(number, _("holds a NUL byte; save the file as UTF-8 text"))
    try:
        return Line(number, raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Problem(
            number,
            _(
                "byte %(byte)d (0x%(value)02X) is not UTF-8; the file is probably in Latin-1 or "
                "Windows-1252: save it as UTF-8"
            )
            % {"byte": error.start + 1, "value": raw[error.start]},
        )
