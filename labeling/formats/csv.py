"""Comma-separated values with a header; semicolons and tabs are understood too."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from django.utils.translation import gettext as _

from labeling.formats.lines import MAX_LINE, Problem, Row, text_lines

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = ",;\t"


class _Lines:
    """The lines of a file for csv.reader; ends at the first one that is not text."""

    def __init__(self, file: BinaryIO) -> None:
        self.problem: Problem | None = None
        self._lines = text_lines(file)

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            if isinstance(line, Problem):
                self.problem = line
                return
            yield line.text + "\n"


def read(file: BinaryIO, *, needs: str = "prompt") -> Iterator[Row | Problem]:
    """The rows of `file` by the header's names. A row may go over several lines.

    needs: the column that must be there.
    A line that isn't text, or a quote that never closes, ends the reading.
    """
    csv.field_size_limit(MAX_LINE)
    lines = _Lines(file)
    source = iter(lines)
    first = next(source, "")
    delimiter = max(DELIMITERS, key=first.count)
    header = [
        name.strip().casefold() for name in next(csv.reader([first], delimiter=delimiter), [])
    ]
    if lines.problem is None and needs not in header:
        sentence = _("the first line must name the columns, one of them “%(name)s”")
        yield Problem(1, sentence % {"name": needs}, needs)
        return
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    yield from _rows(reader, header, lines)
    if lines.problem is not None:
        yield lines.problem


def _rows(reader: Reader, header: Sequence[str], lines: _Lines) -> Iterator[Row | Problem]:
    """The rows below the header."""
    while True:
        begins = reader.line_num + 2
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if lines.problem is None:
                yield Problem(begins, _broken(error))
            if "limit" in str(error):
                return
            continue
        if cells is None:
            return
        if len(cells) > len(header):
            yield Problem(begins, _wide(len(cells), len(header)))
        elif cells:
            yield Row(begins, dict(zip(header, cells, strict=False)))


def _broken(error: csv.Error) -> str:
    """What to do about csv's complaint."""
    if "limit" in str(error) or "unexpected end" in str(error):
        return _('opens a quote that never closes, or is far too long; close it, write " as ""')
    return _('has text after a closing quote; write " inside a quoted field as ""')


def _wide(found: int, wanted: int) -> str:
    """More cells than columns."""
    sentence = _(
        "has %(found)d fields and the header %(wanted)d; "
        "put fields that hold the separator in quotes"
    )
    return sentence % {"found": found, "wanted": wanted}
