"""How a text that a model or a stranger wrote is shown: as it is, and harmless.

Letters, line ends and tabs stay. Characters that nobody sees, or that turn the order of the letters
around them, are shown by name instead: they could make a text read otherwise than it is stored.
"""

from __future__ import annotations

import re
import unicodedata

from django import template
from django.template.defaultfilters import stringfilter
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

register = template.Library()

HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but tab and line feed
    "\u200b\u2060-\u2064\ufeff"  # characters of no width (joiners shape letters: they stay)
    "\u202a-\u202e\u2066-\u206f"  # embeddings, overrides and isolates of direction
    "\u2028\u2029\ufff9-\ufffb"
    "\ud800-\udfff"  # halves of characters
    "\U000e0000-\U000e007f"  # tags: a hidden alphabet
    "]"
)
NAMES = {"\x00": "NUL", "\x07": "BEL", "\x08": "BS", "\r": "CR", "\x1b": "ESC", "\x7f": "DEL"}


def _mark(match: re.Match[str]) -> SafeString:
    """A hidden character as a small label with its full name."""
    character = match[0]
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "") or _("control character %(code)s") % {"code": code}
    return format_html(
        '<span class="hidden-character" title="{}">{}</span>', name, NAMES.get(character, code)
    )


@register.filter
@stringfilter
def visible_text(text: str) -> SafeString:
    """`text` as HTML: escaped, with every hidden character shown."""
    text = text.replace("\r\n", "\n")
    pieces: list[str] = []
    at = 0
    for match in HIDDEN.finditer(text):
        pieces += [conditional_escape(text[at : match.start()]), _mark(match)]
        at = match.end()
    pieces.append(conditional_escape(text[at:]))
    return mark_safe("".join(pieces))  # noqa: S308  # every piece is escaped above
