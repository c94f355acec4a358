"""Which looks of a PPO run may become its result."""

import pytest

from training.configs import PpoConfig
from training.rlhf.development import Look

CONFIG = PpoConfig(base="b", reward="r", kl_limit=10.0, distinct_share=0.85)


def look(**values):
    """A look within all limits, but for `values`."""
    usual = {
        "seen": 64,
        "score": 1.0,
        "kl": 5.0,
        "length": 20.0,
        "finished_share": 0.5,
        "entropy": 3.0,
        "distinct2": 0.9,
        "distinct_share": 1.0,
        "win_rate": 0.7,
        "preference": 0.7,
    }
    return Look(**{**usual, **values})


# Of the .15 that an evaluation may find lost, a look with its fewer texts sees seven tenths, and a
# tenth of that is left to chance: .0945.
@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ({}, True),
        ({"distinct_share": 1.1}, True),
        ({"distinct_share": 0.906}, True),
        ({"distinct_share": 0.905}, False),
        ({"kl": 10.1}, False),
    ],
)
def test_a_look_is_held_to_the_limits(values, allowed):
    assert look(**values).within(CONFIG) is allowed


def test_excess_is_the_way_to_the_nearer_limit():
    assert look(kl=5.0).excess(CONFIG) == pytest.approx(0.5)
    assert look(kl=5.0, distinct_share=1 - 0.0945).excess(CONFIG) == pytest.approx(1.0)
    assert look(kl=12.0, distinct_share=1 - 0.0945).excess(CONFIG) == pytest.approx(1.2)
    assert look(kl=5.0, distinct_share=1 - 0.189).excess(CONFIG) == pytest.approx(2.0)


def test_where_no_variety_may_be_lost_any_loss_is_too_much():
    strict = PpoConfig(base="b", reward="r", distinct_share=1.0)
    assert look(distinct_share=1.0).within(strict)
    assert not look(distinct_share=0.999).within(strict)
