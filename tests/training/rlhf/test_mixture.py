"""How much of each task an epoch holds."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.configs import ConfigError, SftConfig
from training.rlhf.mixture import counts, epoch_order, shares

SIZES = {"qa": 900, "chat": 100}


def config(**values):
    return SftConfig(base="b", **values)


def test_in_proportion_each_demonstration_comes_once():
    tasks = ["qa"] * 9 + ["chat"]
    assert sorted(epoch_order(tasks, config(), 0)) == list(range(10))
    assert shares(SIZES, config()) == pytest.approx({"qa": 0.9, "chat": 0.1})


@pytest.mark.parametrize(
    ("temperature", "chat"),
    [(1.0, 0.1), (2.0, 10 / 40), (1e9, 0.5)],  # √100 = 10, √900 = 30
)
def test_a_temperature_flattens_the_shares(temperature, chat):
    found = shares(SIZES, config(mixture="temperature", mixture_temperature=temperature))
    assert found["chat"] == pytest.approx(chat)
    assert sum(found.values()) == pytest.approx(1)


def test_set_shares_are_kept_whatever_the_sizes():
    told = config(mixture="shares", mixture_shares=["qa=1", "chat = 3", "gone=5"])
    assert shares(SIZES, told) == {"qa": 0.25, "chat": 0.75}
    tasks = ["qa"] * 90 + ["chat"] * 10
    drawn = Counter(tasks[n] for n in epoch_order(tasks, told, 0))
    assert drawn == {"qa": 25, "chat": 75}


def test_a_task_that_is_not_named_has_no_share():
    tasks = ["qa"] * 5 + ["chat"] * 5
    order = epoch_order(tasks, config(mixture="shares", mixture_shares=["qa=0.2"]), 0)
    assert Counter(tasks[n] for n in order) == {"qa": 10}


def test_all_of_a_task_come_before_any_comes_again_across_epochs():
    tasks = ["qa"] * 30 + ["chat"] * 4
    told = config(mixture="shares", mixture_shares=["qa=0.9", "chat=0.1"])
    seen = Counter(n for epoch in range(40) for n in epoch_order(tasks, told, epoch))
    for own in (range(30), range(30, 34)):
        assert max(seen[n] for n in own) - min(seen[n] for n in own) <= 1


@given(
    st.dictionaries(st.text(max_size=3), st.floats(0.01, 1), min_size=1, max_size=6),
    st.integers(0, 500),
)
def test_whole_numbers_sum_to_the_total_and_are_off_by_less_than_one(raw, total):
    wanted = {task: value / math.fsum(raw.values()) for task, value in raw.items()}
    found = counts(wanted, total)
    assert sum(found.values()) == total
    assert all(abs(found[task] - wanted[task] * total) < 1 for task in wanted)


def test_another_epoch_has_another_order():
    told = config(mixture="temperature")
    tasks = ["qa"] * 30 + ["chat"] * 10
    assert epoch_order(tasks, told, 0) == epoch_order(tasks, told, 0)
    assert epoch_order(tasks, told, 0) != epoch_order(tasks, told, 1)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [(["qa"], "such as qa=0.3"), (["qa=x"], "such as qa=0.3"), (["qa=-1", "chat=2"], "0 or more")],
)
def test_shares_that_are_none_are_refused(entries, problem):
    with pytest.raises(ConfigError, match=problem):
        config(mixture_shares=entries)


def test_set_shares_without_a_share_are_refused():
    with pytest.raises(ConfigError, match="must name a share above 0"):
        config(mixture="shares")
