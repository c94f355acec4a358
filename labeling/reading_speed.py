"""How fast a text can be read at most: words where they are parted, characters where they are not.

The one rule by which a ranking is called too fast. Knows nothing of rankings.
"""

from __future__ import annotations

import re

WORDS_A_MINUTE = 500
"""Twice what people read with understanding (Brysbaert 2019: 238 words of English a minute, 19 of
20 readers below 300)."""
CHARACTERS_A_MINUTE = 720
"""Of Chinese and Japanese: twice what the faster of the two is read at (Trauzettel-Klosinski and
Dietz 2012: 357 characters of Japanese a minute, 255 of Chinese; English there: 228 words)."""
LETTERS_A_WORD = 6
"""In scripts that don't part their words."""
WORD = re.compile(r"(?<!\S)[^\w\s]*\w")
"""The beginning of what stands between spaces and is more than punctuation."""
DENSE = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""Chinese characters and kana. Korean parts its words."""
UNPARTED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
"""Thai, Lao, Burmese, Khmer."""


def least_seconds(text: str) -> float:
    """The seconds below which nobody has read `text`; mixed scripts count each in its own way."""
    characters = letters = 0
    if not text.isascii():
        text, characters = DENSE.subn(" ", text)
        text, letters = UNPARTED.subn(" ", text)
    words = len(WORD.findall(text)) + letters / LETTERS_A_WORD
    return 60 * (words / WORDS_A_MINUTE + characters / CHARACTERS_A_MINUTE)
