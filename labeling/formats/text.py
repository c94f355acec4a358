"""Plain text: one prompt a line, or texts parted by empty lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from django.utils.translation import gettext as _

from labeling.formats.lines import MAX_LINE, Line, Problem, Row, text_lines


def read(file: BinaryIO) -> Iterator[Row | Problem]:
    """A prompt for each line; empty lines are passed over."""
    for line in text_lines(file):
        if isinstance(line, Problem):
            yield line
        elif line.text.strip():
            yield Row(line.number, {"prompt": line.text.strip()})


def read_texts(file: BinaryIO) -> Iterator[Row | Problem]:
    """A text for each run of lines without an empty one; its line breaks are kept."""
    lines: list[Line] = []
    size = 0
    for line in text_lines(file):
        if isinstance(line, Problem):
            yield line
            continue
        if line.text.strip():
            lines.append(line)
            size += len(line.text)
            if size > MAX_LINE:
                yield Problem(lines[0].number, _("is a text of more than %d characters") % MAX_LINE)
                lines, size = [], 0
        elif lines:
            yield _joined(lines)
            lines, size = [], 0
    if lines:
        yield _joined(lines)


def _joined(lines: list[Line]) -> Row:
    return Row(lines[0].number, {"text": "\n".join(line.text for line in lines)})
