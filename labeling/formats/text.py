"""Plain text: one prompt a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from labeling.formats.lines import Problem, Row, text_lines


def read(file: BinaryIO) -> Iterator[Row | Problem]:
    """A prompt for each line; empty lines are passed over."""
    for line in text_lines(file):
        if isinstance(line, Problem):
            yield line
        elif line.text.strip():
            yield Row(line.number, {"prompt": line.text.strip()})
