"""Masks by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.rlhf.masks import (
    completion_mask,
    document_mask,
    document_positions,
    last_index,
    masked_mean,
    masked_variance,
)


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


def test_a_token_attends_to_its_own_document_up_to_itself():
    mask = document_mask(torch.tensor([[4, 4, 7, 7, -1]]))
    assert mask.shape == (1, 1, 5, 5)
    assert mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
    ]


def test_positions_start_anew_with_each_document():
    documents = torch.tensor([[4, 4, 4, 7, 7, -1], [2, 5, 5, 5, 5, 5]])
    assert document_positions(documents).tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 1, 2, 3, 4]]


@given(st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=5), min_size=1, max_size=4))
def test_the_document_mask_is_that_of_a_plain_loop(rows):
    width = max(map(sum, rows)) + 1
    documents = [
        [number for number, size in enumerate(row) for _ in range(size)] + [-1] * (width - sum(row))
        for row in rows
    ]
    mask = document_mask(torch.tensor(documents))[:, 0]
    for r, row in enumerate(documents):
        for query in range(width):
            for key in range(width):
                same = row[query] == row[key] and row[query] >= 0 and key <= query
                assert bool(mask[r, query, key]) == (same or query == key)
