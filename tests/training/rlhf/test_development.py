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


# Of the .15 that an evaluation may find lost, a look with its fewer texts sees seven tenths: .105.
@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ({}, True),
        ({"distinct_share": 1.1}, True),
        ({"distinct_share": 0.9}, True),
        ({"distinct_share": 0.89}, False),
        ({"kl": 10.1}, False),
    ],
)
def test_a_look_is_held_to_the_limits(values, allowed):
    assert look(**values).within(CONFIG) is allowed
