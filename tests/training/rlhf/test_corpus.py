"""Texts cut into pieces: every token but a text's first is learned exactly once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.rlhf.corpus import Corpus


def corpus(sizes):
    ends = np.cumsum(sizes).tolist()
    return Corpus(tokens=np.arange(sum(sizes), dtype=np.int32), ends=ends, size=0, empty=0)


def test_by_hand():
    # Texts of 3, 7 and 1 tokens in a window of 4: the second text's pieces share tokens 6 and 9.
    assert corpus([3, 7, 1]).pieces(4).spans == [(0, 3), (3, 7), (6, 10)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(2, 20))
def test_every_token_but_a_texts_first_is_learned_exactly_once(sizes, window):
    found = corpus(sizes)
    pieces = found.pieces(window).spans
    learned = [place for start, end in pieces for place in range(start + 1, end)]
    firsts = {0, *found.ends[:-1]}
    assert learned == [place for place in range(sum(sizes)) if place not in firsts]
    assert all(1 < end - start <= window for start, end in pieces)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(2, 20))
def test_no_piece_reaches_across_texts(sizes, window):
    found = corpus(sizes)
    for start, end in found.pieces(window).spans:
        assert not [text_end for text_end in found.ends if start < text_end < end]
