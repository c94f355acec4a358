"""How right an answer is: numbers worked out by hand, and those of the papers."""

import pytest

from training.rlhf.closed.scores import exact_match, named_choice, rouge, token_f1, words


def test_rouge_counts_shared_words_pairs_and_order():
    # Shared: the (2), cat, on, mat of 7 and 6 words; the-cat, on-the, the-mat of 6 and 5 pairs.
    found = rouge("The cat was on the mat, quickly.", ["the cat sat on the mat"])
    assert found.rouge1 == pytest.approx(10 / 13)
    assert found.rouge2 == pytest.approx(6 / 11)
    assert found.rouge_l == pytest.approx(10 / 13)


@pytest.mark.parametrize(
    ("answer", "score"), [("police kill the gunman", 3 / 4), ("the gunman kill police", 2 / 4)]
)
def test_rouge_l_is_that_of_the_papers_example(answer, score):
    # Lin 2004, section 3.1, S2 and S3.
    assert rouge(answer, ["police killed the gunman"]).rouge_l == pytest.approx(score)


def test_each_rouge_takes_the_reference_where_it_is_highest():
    found = rouge("a b c d", ["d c b a", "a b x y"])
    assert found.rouge1 == 1
    assert found.rouge2 == pytest.approx(1 / 3)
    assert found.rouge_l == pytest.approx(1 / 2)


@pytest.mark.parametrize("answer", ["", "…", "dog"])
def test_rouge_of_nothing_shared_is_zero(answer):
    assert rouge(answer, ["cat"]) == (0, 0, 0)


def test_rouge_2_of_single_words_is_zero():
    assert rouge("cat", ["cat"]) == (1, 0, 1)


def test_f1_is_over_words_without_articles_and_punctuation():
    # eiffel, tower, in, paris against eiffel, tower: 2·2 / (4 + 2).
    assert token_f1("The Eiffel Tower in Paris.", ["Eiffel tower"]) == pytest.approx(2 / 3)


def test_a_word_said_three_times_is_shared_once():
    assert token_f1("no no no", ["no"]) == pytest.approx(1 / 2)


def test_f1_takes_the_best_reference():
    assert token_f1("two weeks", ["fourteen days", "two weeks"]) == 1


def test_an_empty_answer_has_no_f1():
    assert token_f1("", ["cat"]) == 0


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("The U.S. Navy!", "us navy", 1),
        ("  ROSA   lund ", "Rosa Lund", 1),
        ("Ｒosa Lund", "Rosa Lund", 1),
        ("Rosa Lund is the captain", "Rosa Lund", 0),
        ("an hour", "hour", 1),
        ("6000", "6,000", 1),
        ("$240", "240", 1),
        ("", "cat", 0),
    ],
)
def test_exact_match_ignores_case_articles_and_punctuation_only(answer, reference, same):
    assert exact_match(answer, [reference]) == same


def test_any_reference_may_match():
    assert exact_match("9 kg", ["nine kilograms", "9 kg"]) == 1


def test_chinese_is_compared_by_characters():
    assert words("北京2008年 Beijing") == ["北", "京", "2008", "年", "beijing"]
    # 北, 京 of 北京市 and 北京: 2·2 / (3 + 2).
    assert token_f1("北京市。", ["北京"]) == pytest.approx(4 / 5)
    assert exact_match("北京！", ["北京"]) == 1


CHOICES = ["positive", "negative", "very negative"]


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("Positive.", 0),
        ("The review is negative, not positive.", 1),
        ("It is VERY   negative", 2),
        ("negativeness", None),
        ("I cannot say.", None),
        ("", None),
    ],
)
def test_the_first_choice_named_as_whole_words_counts(answer, number):
    assert named_choice(answer, CHOICES) == number
