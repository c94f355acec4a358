"""Masks by hand."""

import pytest
import torch

from training.rlhf.masks import completion_mask, last_index, masked_mean, masked_variance


def test_the_first_end_counts_and_nothing_after_it():
    tokens = torch.tensor([[5, 2, 7, 2], [5, 6, 7, 8], [2, 2, 2, 2]])
    mask = completion_mask(tokens, {2})
    assert mask.tolist() == [
        [True, True, False, False],
        [True, True, True, True],
        [True, False, False, False],
    ]


def test_padding_that_is_also_an_end_does_not_hide_the_real_end():
    tokens = torch.tensor([[5, 2, 0, 0]])
    assert completion_mask(tokens, {0, 2}).tolist() == [[True, True, False, False]]


def test_the_last_index_is_that_of_the_last_true_entry():
    mask = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    assert last_index(mask).tolist() == [1, 0, 2]


def test_an_empty_completion_is_refused():
    with pytest.raises(ValueError, match="no true entry"):
        last_index(torch.tensor([[True], [False]]))


def test_means_and_variances_skip_what_is_masked():
    values = torch.tensor([[1.0, 3.0, 100.0], [5.0, 100.0, 100.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert float(masked_mean(values, mask)) == 3.0
    assert float(masked_variance(values, mask)) == 4.0  # ((−2)² + 0² + 2²) / 2


def test_a_mask_without_a_true_entry_has_mean_zero():
    assert float(masked_mean(torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.bool))) == 0.0
