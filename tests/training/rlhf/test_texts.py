"""Statistics of texts by hand."""

from training.rlhf.texts import distinct, mean_words


def test_distinct_pairs_of_words_over_all_texts():
    # a b, b a, a b | A b: 4 pairs, 2 different.
    assert distinct(["a b a b", "A b"]) == 0.5


def test_single_words_have_no_pair():
    assert distinct(["one", ""]) == 1.0


def test_words_are_what_white_space_separates():
    assert mean_words(["one two", " three "]) == 1.5
