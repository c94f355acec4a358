"""Tokenizers trained on texts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.rlhf.tokenizer import trained_tokenizer

TEXTS = [f"the cat sat on the mat number {n} <|im_end|>" for n in range(100)]


@pytest.fixture(scope="module")
def trained():
    return trained_tokenizer(TEXTS, 320)


def test_control_tokens_come_first_and_bytes_are_all_there(trained):
    assert trained.convert_ids_to_tokens([0, 1, 2]) == [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
    ]
    assert 259 < len(trained) <= 320
    assert len(trained_tokenizer([], 259)) == 259


def test_what_is_frequent_becomes_one_token(trained):
    assert len(trained.encode(" the")) == 1
    assert len(trained.encode("zqx")) == 3


def test_digits_stand_apart(trained):
    assert len(trained.encode("1234")) == 4


def test_the_same_texts_give_the_same_tokenizer(trained):
    again = trained_tokenizer(iter(TEXTS), 320)
    assert again.backend_tokenizer.to_str() == trained.backend_tokenizer.to_str()
    merges = json.loads(trained.backend_tokenizer.to_str())["model"]["merges"]
    assert len(merges) == len(trained) - 259


@given(st.text())
def test_any_text_comes_back_as_it_was_without_a_control_token(trained, text):
    ids = trained(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert not {0, 1, 2} & set(ids)
    assert trained.decode(ids, clean_up_tokenization_spaces=False) == text
