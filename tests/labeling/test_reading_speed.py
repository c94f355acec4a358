"""How fast a text can be read: words and characters by hand, 500 and 720 of them a minute."""

from __future__ import annotations

import time

import pytest

from labeling.reading_speed import least_seconds


@pytest.mark.parametrize(
    ("text", "words", "characters"),
    [
        ("", 0, 0),
        (" \n\t ", 0, 0),
        ("Explain rain to a child.", 5, 0),
        ("- **Bold** | state-of-the-art!\n* 42 %", 3, 0),
        ("Объясни ребёнку дождь", 3, 0),
        ("बच्चे को बारिश समझाओ", 4, 0),
        ("비가 오는 이유", 3, 0),
        ("请解释下雨。", 0, 5),
        ("雨はなぜ降るのか", 0, 8),
        ("用 Python 写，请。", 1, 3),
        ("𠀀𠀁", 0, 2),
        ("อธิบายฝน", 8 / 6, 0),
    ],
)
def test_words_where_they_are_parted_and_characters_where_not(
    text: str, words: float, characters: int
) -> None:
    assert least_seconds(text) == pytest.approx(60 * (words / 500 + characters / 720))


def test_a_chinese_text_takes_about_as_long_as_its_english_translation() -> None:
    english = least_seconds("Rain falls when warm, moist air rises, cools and forms drops. " * 10)
    chinese = least_seconds("暖湿空气上升冷却，凝结成水滴，就会下雨。" * 10)
    assert 0.8 < chinese / english < 1.4


@pytest.mark.parametrize(
    "text", ["!" * 200_000, "! " * 100_000, "é" + "!" * 200_000, "a" * 200_000]
)
def test_odd_texts_take_no_longer_to_count(text: str) -> None:
    began = time.process_time()
    least_seconds(text)
    assert time.process_time() - began < 1
