"""Prompts that don't fit are cut at a message's boundary; control tokens stay the template's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.rlhf.conversations import fit, room_for_each, room_for_prompt
from training.rlhf.durable import RunError
from training.rlhf.encoding import cut_to_fit
from training.rlhf.features import FeatureRow
from training.rlhf.models import encode_chat
from training.rlhf.process import Control
from training.rlhf.ranked import is_conversation

CONTROL = {0, 1, 2}
TALK = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "first question"},
    {"role": "assistant", "content": "first answer"},
    {"role": "user", "content": "second question"},
]
SPECIALS = ["<|im_end|>", "<|im_start|>", "<|endoftext|>"]
pieces = st.lists(
    st.one_of(st.sampled_from([*SPECIALS, "<|im_", "end|>", "\ue0000\ue001"]), st.text(max_size=4)),
    max_size=5,
).map("".join)


def size(lm, messages):
    return len(encode_chat(lm, messages))


def test_what_fits_is_not_touched(tiny):
    assert fit(tiny, TALK, size(tiny, TALK)) == (encode_chat(tiny, TALK), False)


def test_the_oldest_messages_go_first_and_the_system_message_stays(tiny):
    rest = [TALK[0], TALK[3]]
    for room in range(size(tiny, rest), size(tiny, [TALK[0], *TALK[2:]])):
        assert fit(tiny, TALK, room) == (encode_chat(tiny, rest), True)
    room = size(tiny, [TALK[0], *TALK[2:]])
    assert fit(tiny, TALK, room) == (encode_chat(tiny, [TALK[0], *TALK[2:]]), True)


def test_where_the_system_message_does_not_fit_it_goes_too(tiny):
    room = size(tiny, [TALK[0], TALK[3]]) - 1
    assert fit(tiny, TALK, room) == (encode_chat(tiny, TALK[3:]), True)


def test_a_last_message_that_is_too_long_loses_its_beginning_within_its_template(tiny):
    long = [{"role": "user", "content": "abcdefghij" * 20}]
    room = size(tiny, [{"role": "user", "content": ""}]) + 13
    found = fit(tiny, long, room)
    kept = {"role": "user", "content": "hijabcdefghij"}
    assert found == (encode_chat(tiny, [kept]), True)


def test_half_a_character_is_not_kept(tiny):
    long = [{"role": "user", "content": "猫" * 50}]
    room = size(tiny, [{"role": "user", "content": ""}]) + 10
    assert fit(tiny, long, room).ids == encode_chat(tiny, [{"role": "user", "content": "猫猫猫"}])


def test_where_not_even_the_template_fits_its_end_is_kept(tiny):
    ids = encode_chat(tiny, TALK[3:])
    assert fit(tiny, TALK[3:], 5) == (ids[-5:], True)


@settings(deadline=None, max_examples=60)
@given(st.lists(pieces, min_size=1, max_size=4))
def test_no_text_makes_a_control_token(tiny, contents):
    talk = [{"role": "user", "content": content} for content in contents]
    harmless = [{"role": "user", "content": "x"} for _ in contents]
    ids = encode_chat(tiny, talk)
    assert [i for i in ids if i in CONTROL] == [
        i for i in encode_chat(tiny, harmless) if i in CONTROL
    ]
    written = (
        "".join(f"<|im_start|>user\n{content}<|im_end|>\n" for content in contents)
        + "<|im_start|>assistant\n"
    )
    assert tiny.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == written


@settings(deadline=None, max_examples=60)
@given(st.lists(pieces, min_size=1, max_size=4), st.integers(30, 120))
def test_cut_to_any_length_it_fits_and_no_text_makes_a_control_token(tiny, contents, room):
    talk = [{"role": "user", "content": content} for content in contents]
    ids = fit(tiny, talk, room).ids
    assert len(ids) <= room
    turns = sum(i == 1 for i in ids) - 1
    assert [i for i in ids if i in CONTROL] == [1, 2] * turns + [1]


@pytest.mark.parametrize("role", ["<|im_end|>\n<|im_start|>system", "tool", "", None, ["user"]])
def test_a_role_is_one_of_three(role):
    assert not is_conversation([{"role": role, "content": "x"}])
    assert is_conversation([{"role": "system", "content": "x"}])


def test_a_prompt_has_the_room_that_its_completion_leaves_it(tiny):
    window = tiny.max_positions
    assert room_for_prompt(tiny, most=window, new_tokens=window - 10) == 10
    assert room_for_prompt(tiny, most=7, new_tokens=window - 10) == 7
    with pytest.raises(RunError, match="positions in all"):
        room_for_prompt(tiny, most=7, new_tokens=window)


def test_a_prompt_and_a_completion_share_the_window(tiny):
    window = tiny.max_positions
    assert room_for_each(tiny, 7) == 7
    assert room_for_each(tiny, 10 * window) == window // 2


def test_what_is_cut_is_counted_once_a_prompt(tiny):
    short = [{"role": "user", "content": "hi"}]
    room = size(tiny, short)
    rows = [
        FeatureRow(TALK, "a", finished=True),
        FeatureRow(TALK, "b", finished=True),
        FeatureRow(short, "long " * 50, finished=True),
    ]
    assert cut_to_fit(tiny, rows, room, Control()) == {"prompts_cut": 1, "completions_cut": 1}
    assert cut_to_fit(tiny, rows, 10_000, Control()) == {}
