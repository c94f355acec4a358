"""Which script a text is in, and about how long it is."""

from __future__ import annotations

import pytest

from labeling.scripts import Measures, estimated_tokens, measures_of, script_of


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("It rains.", "Latin"),
        ("Ça va très bien", "Latin"),
        ("为什么会下雨？", "Han"),
        ("なぜ雨が降るのか", "Kana"),
        ("東京都庁へ行く", "Kana"),
        ("비가 온다", "Hangul"),
        ("Идёт дождь", "Cyrillic"),
        ("تمطر", "Arabic"),
        ("יורד גשם", "Hebrew"),
        ("बारिश", "Devanagari"),
        ("ฝนตก", "Thai"),
        ("Объясни код: def f(x)", "Cyrillic"),
        ("12 + 3 = 15 🙂", ""),
        ("", ""),
    ],
)
def test_the_script_of_most_letters_is_told(text, script):
    assert script_of(text) == script


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("rain", 1), ("rains", 2), ("дождь", 3), ("下雨", 2), ("é", 1)]
)
def test_tokens_are_estimated_by_the_kind_of_letters(text, tokens):
    assert estimated_tokens(text) == tokens


def test_a_text_is_measured_as_a_whole():
    assert measures_of("It rains,\noften.") == Measures(
        characters=16, words=3, tokens=4, script="Latin"
    )
