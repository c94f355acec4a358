"""The hidden scores reward what they say they reward. All numbers are worked out by hand."""

import math

import pytest

from benchmarks.gold import length, sentiment, short_words

GOLD_SCORES = [sentiment.gold, length.gold, short_words.gold]
ABOUT_SOUP = "Describe a bowl of hot soup."  # content words: bowl, hot, soup


@pytest.mark.parametrize("gold", GOLD_SCORES)
@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "\x00\x1b\x7f",
        "\ud800 \u200d \ufeff",
        "…—·",
        "² ½ ٣ 7",
        "雨が降る",
        "a" * 100_000,
    ],
)
def test_every_text_gets_the_same_finite_score_again(gold, text):
    first = gold(text, text)
    assert isinstance(first, float)
    assert math.isfinite(first)
    assert gold(text, text) == first


@pytest.mark.parametrize("gold", GOLD_SCORES)
def test_a_very_long_text_is_scored(gold):
    assert math.isfinite(gold(ABOUT_SOUP, "Lovely soup, isn't it? " * 50_000))


class TestSentiment:
    def test_it_counts_different_positive_words_over_the_root_of_the_length(self):
        # warm, lovely, delicious: 3 of 16 words, nothing shared with the prompt.
        text = "It was a warm day and we had a lovely walk and then a delicious cake."
        assert sentiment.gold("Hello", text) == pytest.approx(3 / 4)

    def test_it_subtracts_different_negative_words(self):
        # lovely - boring - noisy = -1 of 16 words.
        text = "It was a lovely town but the talk we went to was boring and so noisy."
        assert sentiment.gold("Hello", text) == pytest.approx(-1 / 4)

    def test_a_text_shorter_than_ten_words_counts_as_ten(self):
        assert sentiment.gold("Hello", "Wonderful!") == pytest.approx(1 / math.sqrt(10))

    def test_repeating_a_positive_word_pays_less_than_saying_it_once(self):
        once = sentiment.gold("Hello", "Lovely.")
        again = sentiment.gold("Hello", " ".join(["lovely"] * 40))
        assert again == pytest.approx(1 / math.sqrt(40))
        assert again < once

    @pytest.mark.parametrize(
        ("text", "warmth"),
        [
            ("This is not good.", -1),
            ("This isn’t very good.", -1),
            ("It was never boring.", 1),
            ("He left without any trouble.", 1),
            ("No. Good.", 1),  # the clause has ended
            ("Not a very happy day.", -1),
            ("Not one of my happy days.", 1),  # four words on is out of reach
            ("It is not only good.", 1),
            ("Good, but not good.", 0),  # said and taken back
        ],
    )
    def test_a_negation_turns_the_next_three_words_of_its_clause(self, text, warmth):
        assert sentiment.gold("Hello", text) == pytest.approx(warmth / math.sqrt(10))

    def test_it_adds_a_bonus_for_content_words_of_the_prompt(self):
        # Shared: bowl, soup. 2 * 2 / (2 + 2) = 1, over the root of ten.
        assert sentiment.gold(ABOUT_SOUP, "A bowl with soup.") == pytest.approx(1 / math.sqrt(10))

    def test_a_shared_word_counts_once_and_in_any_number(self):
        # Shared: soup. 2 * 1 / (1 + 2) = 2/3.
        text = "Soups and soup, the soup's soup."
        assert sentiment.gold(ABOUT_SOUP, text) == pytest.approx(2 / 3 / math.sqrt(10))

    def test_words_of_the_instruction_are_no_topic(self):
        prompt = "Write a short review in two sentences."
        assert sentiment.gold(prompt, "Write a short review in two sentences.") == 0

    def test_copying_a_long_prompt_earns_less_than_two_warm_words(self):
        prompt = " ".join(f"{a}{b}x" for a in "bcdfgh" for b in "klmnpqrtvw")  # 60 words of content
        # 2 * 60 / 62 over the root of 60.
        assert sentiment.gold(prompt, prompt) == pytest.approx(120 / 62 / math.sqrt(60))
        assert sentiment.gold(prompt, prompt) < sentiment.gold(prompt, "Lovely and delicious.")

    def test_control_characters_and_capitals_change_nothing(self):
        plain = sentiment.gold(ABOUT_SOUP, "A warm soup")
        assert sentiment.gold(ABOUT_SOUP, "A\x00 WARM\x1b \x07Soup\x7f") == plain

    def test_a_text_without_words_scores_zero(self):
        assert sentiment.gold(ABOUT_SOUP, " … 12\x00") == 0

    def test_no_word_is_both_positive_and_negative(self):
        assert not sentiment.POSITIVE & sentiment.NEGATIVE
        assert not (sentiment.POSITIVE | sentiment.NEGATIVE) & sentiment.NEGATORS
        assert 400 <= len(sentiment.POSITIVE | sentiment.NEGATIVE) <= 500


class TestLength:
    @pytest.mark.parametrize(
        ("words", "score"), [(15, 0), (14, -0.2), (16, -0.2), (10, -1), (40, -5), (0, -3)]
    )
    def test_it_costs_a_point_for_every_five_words_away_from_fifteen(self, words, score):
        assert length.gold("Hello", "word " * words) == pytest.approx(score)

    def test_only_what_holds_a_letter_or_a_digit_is_a_word(self):
        # Five words: It's, 7, o'clock, well-known, end.
        text = "It's 7 o'clock — … \x00 well-known\x07 \n\n end. ***"
        assert length.gold("Hello", text) == pytest.approx(-2)

    def test_the_prompt_does_not_matter(self):
        assert length.gold("", "One two three") == length.gold(ABOUT_SOUP, "One two three")


class TestShortWords:
    def test_it_is_the_negative_mean_number_of_letters(self):
        # 3 + 3 + 3 + 2 + 4 + 1 + 5 = 21 letters in 7 words.
        assert short_words.gold("Hello", "The cat sat on that a while.") == pytest.approx(-3)

    def test_an_apostrophe_belongs_to_its_word_and_is_no_letter(self):
        # Dont 4, its 3, well 4 + known 5, a 1: 17 letters in 5 words.
        assert short_words.gold("Hello", "Don't it’s well-known a") == pytest.approx(-17 / 5)

    def test_each_word_missing_up_to_five_counts_as_fifteen_letters(self):
        # 2 + 2 + 3 * 15 = 49 over 5.
        assert short_words.gold("Hello", "Go on") == pytest.approx(-49 / 5)

    def test_four_short_words_score_less_than_five_of_four_letters(self):
        four = short_words.gold("Hello", "I am at it")  # 7 + 15 = 22 over 5
        five = short_words.gold("Hello", "Some long kind warm text")  # 20 over 5
        assert four == pytest.approx(-22 / 5)
        assert five == pytest.approx(-4)

    def test_a_word_beyond_twelve_letters_counts_as_twelve(self):
        assert short_words.gold("Hello", "a" * 500 + " b c d e") == pytest.approx(-16 / 5)

    @pytest.mark.parametrize("text", ["", "\n", "\x00", "12 34 56 78 90", "² ½ ² ½ ² ½"])
    def test_a_text_without_letters_is_worst(self, text):
        one_long_word = short_words.gold(
            "Hello", "incomprehensibilities"
        )  # 12 + 4 * 15 = 72 over 5
        assert one_long_word == pytest.approx(-72 / 5)
        assert short_words.gold("Hello", text) == -15
