"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

from django.utils.translation import gettext as _

from labeling.formats.lines import Line, Problem, Row, text_lines


def read(file: BinaryIO) -> Iterator[Row | Problem]:
    """The objects of `file`; empty lines are passed over."""
    for line in text_lines(file):
        if isinstance(line, Problem):
            yield line
        elif line.text.strip():
            yield _parsed(line)


def _parsed(line: Line) -> Row | Problem:
    """The line's object."""
    try:
        value = json.loads(line.text)
    except json.JSONDecodeError as error:
        sentence = _('is not JSON (%(reason)s at character %(at)d); write {"prompt": "…"}')
        return Problem(line.number, sentence % {"reason": error.msg, "at": error.colno})
    except (RecursionError, ValueError):
        return Problem(line.number, _("is nested too deeply or holds a number that is too long"))
    if isinstance(value, dict):
        return Row(line.number, value)
    if isinstance(value, list):
        return Problem(line.number, _("is a list; write one object a line, without [ and ]"))
    return Problem(line.number, _('is not an object; write {"prompt": "…"}'))
