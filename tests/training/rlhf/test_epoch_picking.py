"""Which epoch's weights are kept, and put back."""

import pytest
import torch
from torch import nn

from training.configs import SftConfig
from training.rlhf.epoch_picking import EpochPicking, picks_by


def run(by, numbers):
    """The weight (its epoch's number) that is there in the end."""
    weight = nn.Parameter(torch.zeros(1))
    picking = EpochPicking({"w": weight}, by)
    for epoch, found in enumerate(numbers, start=1):
        with torch.no_grad():
            weight.fill_(epoch)
        picking.offer(epoch, found)
    picking.put_back()
    return float(weight), picking


@pytest.mark.parametrize(
    ("by", "best"),
    [("validation_loss", 2), ("reward", 1), ("last", 3)],
)
def test_the_best_epoch_is_put_back(by, best):
    numbers = [
        {"validation_loss": 2.0, "reward_score": 0.9},
        {"validation_loss": 1.0, "reward_score": 0.1},
        {"validation_loss": 1.5, "reward_score": 0.5},
    ]
    weight, picking = run(by, numbers)
    assert (weight, picking.epoch, picking.numbers) == (best, best, numbers[best - 1])


def test_of_equals_the_earlier_is_kept():
    weight, _ = run("validation_loss", [{"validation_loss": 1.0}] * 3)
    assert weight == 1


def test_read_back_it_goes_on_from_where_it_stood():
    _, before = run("validation_loss", [{"validation_loss": 1.0}, {"validation_loss": 2.0}])
    weight = nn.Parameter(torch.full((1,), 9.0))
    again = EpochPicking({"w": weight}, "validation_loss")
    again.load(before.tensors(), before.values())
    again.offer(3, {"validation_loss": 1.5})
    again.put_back()
    assert (float(weight), again.epoch) == (1.0, 1)


@pytest.mark.parametrize(
    ("values", "held_out", "by"),
    [
        ({"reward": "r"}, True, "reward"),
        ({"reward": "r", "pick": "validation_loss"}, True, "validation_loss"),
        ({}, True, "validation_loss"),
        ({}, False, "last"),
        ({"pick": "validation_loss"}, False, "last"),
        ({"reward": "r", "pick": "last"}, True, "last"),
    ],
)
def test_auto_takes_the_first_that_can_be(values, held_out, by):
    assert picks_by(SftConfig(base="b", **values), held_out=held_out) == by
