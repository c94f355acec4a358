"""Which script a text is written in, and about how long it is. Knows nothing of languages.

A letter's Unicode name begins with its script. A script tells a language only where no other is
written in it: kana is Japanese, Latin letters are any of a hundred languages.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

LOOKED_AT = 4_000
"""Characters; the rest of a text is hardly in another script."""
NAMES: dict[str, Promise] = {
    "Latin": _("Latin letters"),
    "Han": _("Chinese characters"),
    "Kana": _("Japanese"),
    "Hangul": _("Korean"),
    "Cyrillic": _("Cyrillic letters"),
    "Arabic": _("Arabic letters"),
    "Hebrew": _("Hebrew"),
    "Greek": _("Greek"),
    "Devanagari": _("Devanagari"),
    "Bengali": _("Bengali"),
    "Tamil": _("Tamil"),
    "Telugu": _("Telugu"),
    "Thai": _("Thai"),
    "Georgian": _("Georgian"),
    "Armenian": _("Armenian"),
    "Ethiopic": _("Ethiopic letters"),
}
"""Scripts that are told apart; letters of any other are passed over."""
FIRST_WORDS = {name.upper(): name for name in NAMES} | {
    "CJK": "Han",
    "HIRAGANA": "Kana",
    "KATAKANA": "Kana",
}
KANA_SHARE = 0.1
"""Japanese is written in Chinese characters too: with so much kana among them it is Japanese."""
DENSE = frozenset({"Han", "Kana", "Hangul"})
WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Measures:
    """A text's length, as a person and as a model counts it, and its script."""

    characters: int
    words: int
    tokens: int
    """An estimate, see `estimated_tokens`."""
    script: str
    """A key of NAMES; empty where there are no letters of these."""

    @property
    def script_name(self) -> str:
        """For people; empty where there is none."""
        return str(NAMES[self.script]) if self.script else ""


def measures_of(text: str) -> Measures:
    """How long `text` is, and in which script."""
    return Measures(
        characters=len(text),
        words=len(WORD.findall(text)),
        tokens=estimated_tokens(text),
        script=script_of(text),
    )


def script_of(text: str) -> str:
    """The script of most of the letters; empty where there are none."""
    counts = Counter(filter(None, map(_script, text[:LOOKED_AT])))
    if counts["Kana"] and counts["Kana"] >= KANA_SHARE * (counts["Kana"] + counts["Han"]):
        counts["Kana"] += counts.pop("Han", 0)
    return counts.most_common(1)[0][0] if counts else ""


def _script(letter: str) -> str:
    """A key of NAMES, or nothing for what is no letter of these."""
    if letter.isascii():
        return "Latin" if letter.isalpha() else ""
    if not letter.isalpha():
        return ""
    return FIRST_WORDS.get(re.split("[ -]", unicodedata.name(letter, ""), maxsplit=1)[0], "")


def estimated_tokens(text: str) -> int:
    """About how many tokens a model makes of `text`: a rule of thumb for byte-level vocabularies.

    Four ASCII characters a token, two of another alphabet, one of Chinese, Japanese or Korean.
    static/js/writing/measures.js counts alike.
    """
    ascii_only = sum(letter.isascii() for letter in text)
    dense = sum(not letter.isascii() and _script(letter) in DENSE for letter in text)
    others = len(text) - ascii_only - dense
    return -(-(ascii_only + 2 * others + 4 * dense) // 4)
