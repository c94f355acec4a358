"""Which prompts share a fold."""

from training.rlhf.groups import groups_of, sums_by_group


def row(*turns, group=None):
    roles = ["user", "assistant"] * len(turns)
    prompt = [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=False)]
    return {"prompt": prompt} | ({} if group is None else {"group": group})


def test_prompts_without_a_group_stand_alone():
    assert len(set(groups_of([row("one"), row("two"), row("three")]))) == 3


def test_the_turns_of_a_conversation_belong_together():
    first, later, other = groups_of([row("hello"), row("hello", "hi", "and?"), row("bye")])
    assert first == later != other


def test_a_group_holds_what_has_its_name():
    one, two, other = groups_of([row("a", group="g"), row("b", group="g"), row("c", group="h")])
    assert one == two != other


def test_a_conversation_is_in_the_group_that_some_of_its_turns_name():
    opening, turn, like = groups_of(
        [row("hello"), row("hello", "hi", "and?", group="g"), row("hallo", group="g")]
    )
    assert opening == turn == like


def test_a_group_is_not_the_conversation_that_begins_with_its_name():
    named, spoken = groups_of([row("x", group="g"), row("g")])
    assert named != spoken


def test_a_system_message_says_nothing_of_the_conversation():
    system = {"role": "system", "content": "Be kind."}
    first, second = groups_of(
        [{"prompt": [system, *row(text)["prompt"]]} for text in ("one", "two")]
    )
    assert first != second


def test_numbers_are_added_up_by_group():
    wins, counts = sums_by_group(["b", "a", "b"], [1.0, 0.5, 0.0], [1, 1, 1])
    assert wins.tolist() == [0.5, 1.0]
    assert counts.tolist() == [1, 2]
