"""Two texts beside each other, with the words marked that only one of them has.

Texts in, HTML out. Knows nothing of completions or pages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from rapidfuzz.distance import Indel

from labeling.rendering import written

WORDS = re.compile(r"[぀-ヿ㐀-鿿가-힯]|\w+|\s+|[^\w\s]")
"""A word, a run of spaces, a sign; of scripts that write no spaces each character."""
MOST_WORDS = 4_000
"""Longer texts are shown without marks: comparing them would take too long."""


@dataclass(frozen=True)
class Sides:
    """Both texts as HTML. `marked`: False where they are too long to be compared."""

    left: SafeString
    right: SafeString
    marked: bool = True


def side_by_side(left: str, right: str) -> Sides:
    """Both as written, in each the words within <mark> that the other lacks at that place."""
    ours, theirs = WORDS.findall(left), WORDS.findall(right)
    if max(len(ours), len(theirs)) > MOST_WORDS:
        return Sides(written(left), written(right), marked=False)
    # difflib looks for the longest match again and again: texts can be made to cost it seconds.
    changes = list(Indel.opcodes(ours, theirs))
    return Sides(
        _marked([(one.tag, ours[one.src_start : one.src_end]) for one in changes], "left"),
        _marked([(one.tag, theirs[one.dest_start : one.dest_end]) for one in changes], "right"),
    )


def _marked(pieces: Sequence[tuple[str, Sequence[str]]], side: str) -> SafeString:
    """The pieces as one text; those that are not equal are marked, spaces around them left out."""
    html: list[str] = []
    for kind, words in pieces:
        text = "".join(words)
        bare = text.strip()
        if kind == "equal" or not bare:
            html.append(written(text))
            continue
        before, after = text.split(bare)
        mark = format_html('<mark class="only-{}">{}</mark>', side, written(bare))
        html += [written(before), mark, written(after)]
    return mark_safe("".join(html))  # noqa: S308  # every piece is escaped above
