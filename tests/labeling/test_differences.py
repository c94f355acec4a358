"""Two texts beside each other: which words are marked, and that they are harmless."""

from __future__ import annotations

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from labeling.differences import MOST_WORDS, side_by_side


def marked(html: str) -> list[str]:
    return re.findall(r"<mark[^>]*>(.*?)</mark>", html, re.DOTALL)


def test_words_that_only_one_has_are_marked_on_its_side():
    sides = side_by_side("The cat sat on the mat.", "The dog sat on a mat.")
    assert marked(sides.left) == ["cat", "the"]
    assert marked(sides.right) == ["dog", "a"]


def test_words_of_scripts_without_spaces_are_compared_sign_by_sign():
    sides = side_by_side("今天天气很好", "今天天气不好")
    assert (marked(sides.left), marked(sides.right)) == (["很"], ["不"])


def test_equal_texts_have_no_marks():
    sides = side_by_side("one\n two", "one\n two")
    assert sides.left == sides.right == "one\n two"


def test_html_is_text():
    sides = side_by_side("<b>x</b>", "<i>x</i>")
    assert "<b>" not in sides.left + sides.right


def test_very_long_texts_are_shown_without_marks():
    sides = side_by_side("a " * MOST_WORDS, "b")
    assert not sides.marked
    assert marked(sides.left) == []


def test_no_text_makes_the_comparison_slow():
    """Many short matches of equal length, one behind the other: labelers write these texts."""
    common = [chr(0x4E00 + place % 50) for place in range(MOST_WORDS // 2)]
    ours = "".join(sign + chr(0x5200 + place) for place, sign in enumerate(common))
    theirs = "".join(sign + chr(0x7000 + place) for place, sign in enumerate(common))
    taken = []
    for _ in range(3):  # the best of three: other processes take from the caches
        began = time.process_time()
        assert side_by_side(ours, theirs).marked
        taken.append(time.process_time() - began)
    assert min(taken) < 3  # with difflib it was 14


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_is_lost_but_the_marks(left, right):
    from labeling.rendering import written

    sides = side_by_side(left, right)
    assert re.sub(r"</?mark[^>]*>", "", sides.left) == written(left)
    assert re.sub(r"</?mark[^>]*>", "", sides.right) == written(right)
