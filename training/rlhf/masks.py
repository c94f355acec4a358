"""Which tokens count. Tensors in, tensors out; knows nothing of models or tokenizers.

A completion's tokens are aligned to the left and padded on the right. Its mask is true up to and
including the first end-of-sequence token; everything after that has no reward, no value, no loss.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor


def is_end(tokens: Tensor, eos_ids: Collection[int]) -> Tensor:
    """True where a token ends its sequence. tokens: any shape, int. Same shape, bool."""
    ends = torch.tensor(sorted(eos_ids), dtype=tokens.dtype, device=tokens.device)
    return torch.isin(tokens, ends)


def completion_mask(tokens: Tensor, eos_ids: Collection[int]) -> Tensor:
    """True up to and including the first end of each completion.

    tokens: (completions, T) int, padded on the right with anything. (completions, T) bool.
    PAD may be one of `eos_ids`: the first one then counts as the end, the rest as padding.
    """
    ends = is_end(tokens, eos_ids).long()
    return (ends.cumsum(dim=1) - ends) == 0


def document_mask(documents: Tensor) -> Tensor:
    """Who may attend to whom where several documents stand in one row.

    documents: (rows, T) int, the document of each token, −1 for padding; a document's tokens stand
    together. (rows, 1, T, T) bool, true where a query (third) attends to a key (last): to itself
    and to earlier tokens of its own document. Padding attends to itself, so that no row is empty.
    """
    size = documents.shape[1]
    causal = torch.ones(size, size, dtype=torch.bool, device=documents.device).tril()
    itself = torch.eye(size, dtype=torch.bool, device=documents.device)
    same = documents.unsqueeze(2) == documents.unsqueeze(1)
    padding = (documents < 0).unsqueeze(2)
    return ((same & causal & ~padding) | itself).unsqueeze(1)


def document_positions(documents: Tensor) -> Tensor:
    """Each token's place in its own document, from 0. documents: (rows, T) int. (rows, T) int64."""
    places = torch.arange(documents.shape[1], device=documents.device).expand(documents.shape)
    starts = torch.ones_like(documents, dtype=torch.bool)
    starts[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return places - torch.where(starts, places, torch.zeros_like(places)).cummax(1).values


def last_index(mask: Tensor) -> Tensor:
    """Position of each row's last true entry. mask: (rows, T) bool. (rows,) int64.

    Raises ValueError for a row without one: an empty completion has nothing to score.
    """
    if not bool(mask.any(dim=1).all()):
        raise ValueError("last_index: a row of the mask has no true entry")
    positions = torch.arange(mask.shape[1], device=mask.device)
    return (mask.long() * positions).amax(dim=1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the true entries. values, mask: same shape. A scalar; 0 if nothing is true."""
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1)


def masked_variance(values: Tensor, mask: Tensor) -> Tensor:
    """Variance over the true entries (divided by their number minus one). A scalar ≥ 0."""
    weights = mask.to(values.dtype)
    squares = ((values - masked_mean(values, mask)) ** 2 * weights).sum()
    return squares / (weights.sum() - 1).clamp(min=1)
