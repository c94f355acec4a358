"""Random numbers depend on what they are for, and on nothing else."""

import numpy as np
import torch

from training.rlhf.randomness import generator, shuffled, uniforms

RECORDED = [[0.635336757, 0.593728244, 0.991860986]]


def test_a_rows_numbers_do_not_depend_on_its_neighbours():
    together = uniforms(7, 3, ["a", "b", "c"], 4, 16)
    alone = uniforms(7, 3, ["b"], 4, 16)
    assert together.shape == (12, 16)
    assert together.dtype == torch.float32
    assert torch.equal(together[4:8], alone)


def test_more_samples_and_tokens_keep_the_first_ones():
    assert torch.equal(uniforms(0, 0, ["a"], 8, 32)[:4, :16], uniforms(0, 0, ["a"], 4, 16))


def test_every_key_counts():
    base = uniforms(0, 0, ["1"], 1, 8)
    for other in (
        uniforms(1, 0, ["1"], 1, 8),
        uniforms(0, 1, ["1"], 1, 8),
        uniforms(0, 0, [1], 1, 8),
    ):
        assert not torch.equal(base, other)


def test_they_are_uniform():
    numbers = uniforms(0, 0, list(range(100)), 10, 100).numpy().ravel()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    # Chi-square with 19 degrees of freedom: 43.8 is its 99.9 % quantile.
    assert ((counts - 5000) ** 2 / 5000).sum() < 43.8


def test_they_are_the_same_on_every_machine():
    """Recorded once: a change here would change every resumed run."""
    assert np.allclose(uniforms(0, 0, ["p"], 1, 3).numpy(), RECORDED, atol=1e-7)


def test_an_order_is_a_permutation_keyed_by_seed_and_keys():
    order = shuffled(50, 1, "epoch", 0)
    assert sorted(order) == list(range(50))
    assert order == shuffled(50, 1, "epoch", 0)
    assert order != shuffled(50, 1, "epoch", 1)


def test_generators_repeat():
    first, second = generator(1, "lora"), generator(1, "lora")
    assert torch.equal(torch.rand(4, generator=first), torch.rand(4, generator=second))
