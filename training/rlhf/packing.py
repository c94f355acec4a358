"""Many short sequences in few rows, none of which sees another: packed training.

Sequences in, log-probabilities of their tokens out; each is computed as if it stood alone: it
attends to itself only and its positions start at 0. Knows nothing of texts, losses or optimisers.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from training.rlhf.blocks import finish_layer, read_heads
from training.rlhf.layers import attend, rotations, token_logprobs
from training.rlhf.masks import document_mask, document_positions
from training.rlhf.models import LanguageModel
from training.rlhf.room import at_once

ROW_TOKENS = 256
"""A row is this long, or as long as the longest sequence. Attention costs the square of a row, the
rest of a layer its length: short rows waste nothing where sequences are short."""
MICRO_BATCH_TOKENS = 4096
"""Tokens of a forward and backward pass, at most."""
HEAD_TOKENS = 512
"""Tokens whose logits are held at a time: 512 × 49,152 are 100 MB in float32."""


@dataclass(frozen=True)
class Sequenced:
    """Token ids and, for each, whether it is to be learned. The first one never can be."""

    ids: Sequence[int]
    learned: Sequence[bool]
    weight: float = 1.0
    """Of each of its learned tokens in a loss."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Packed:
    """r rows of s tokens."""

    ids: Tensor
    """[r, s] int64."""
    documents: Tensor
    """[r, s] int64: which sequence each token belongs to, −1 for padding."""
    learned: Tensor
    """[r, s] bool: tokens whose log-probability is wanted."""
    weights: Tensor
    """[r, s] float32: the weight of each learned token, 0 for others."""

    def rows(self, chosen: slice) -> Packed:
        """Some of the rows."""
        tensors = (self.ids, self.documents, self.learned, self.weights)
        return Packed(*(tensor[chosen] for tensor in tensors))


def best_fit(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Put sequences into rows of `room` tokens: best-fit decreasing (arXiv 2404.10830, section 3).

    Returns the numbers of each row's sequences. How many rows there are depends on the lengths
    only, not on their order. Raises ValueError for a sequence that fits into no row.
    """
    if lengths and max(lengths) > room:
        raise ValueError(f"a sequence of {max(lengths)} tokens does not fit into {room}")
    rows: list[list[int]] = []
    spaces: list[int] = []
    by_space: dict[int, list[int]] = {}
    for number in sorted(range(len(lengths)), key=lambda n: -lengths[n]):
        place = bisect_left(spaces, lengths[number])
        if place == len(spaces):
            row, left = len(rows), room
            rows.append([])
        else:
            left = spaces[place]
            row = by_space[left].pop()
            if not by_space[left]:
                spaces.pop(place)
        rows[row].append(number)
        left -= lengths[number]
        if left:
            if not by_space.get(left):
                insort(spaces, left)
            by_space.setdefault(left, []).append(row)
    return rows


def pack(
    lm: LanguageModel,
    sequences: Sequence[Sequenced] | Mapping[int, Sequenced],
    rows: Sequence[Sequence[int]],
) -> Packed:
    """Lay sequences out in rows (see `best_fit`), padded on the right, on the model's device.

    rows: the numbers of each row's sequences.
    """
    width = max((sum(len(sequences[n]) for n in row) for row in rows), default=0)
    ids = torch.full((len(rows), width), lm.pad_id)
    documents = torch.full((len(rows), width), -1)
    learned = torch.zeros(len(rows), width, dtype=torch.bool)
    weights = torch.zeros(len(rows), width)
    for index, row in enumerate(rows):
        at = 0
        for number in row:
            own = slice(at, at + len(sequences[number]))
            ids[index, own] = torch.tensor(list(sequences[number].ids), dtype=torch.int64)
            learned[index, own] = torch.tensor(list(sequences[number].learned))
            documents[index, own] = number
            learned[index, at] = False
            weights[index, own] = learned[index, own] * sequences[number].weight
            at = own.stop
    return Packed(*(tensor.to(lm.device) for tensor in (ids, documents, learned, weights)))


def pack_all(lm: LanguageModel, sequences: Sequence[Sequenced]) -> Packed:
    """A batch of sequences in as few and as short rows as suit them."""
    lengths = [len(sequence) for sequence in sequences]
    return pack(lm, sequences, best_fit(lengths, max([ROW_TOKENS, *lengths])))


def parts(packed: Packed, tokens: int | None = None) -> Iterator[Packed]:
    """The rows, as many at a time as one forward and backward pass takes."""
    count = max(1, (tokens or at_once(MICRO_BATCH_TOKENS)) // max(1, packed.ids.shape[1]))
    for start in range(0, len(packed.ids), count):
        yield packed.rows(slice(start, start + count))


def packed_states(lm: LanguageModel, packed: Packed) -> Tensor:
    """The residual stream after the last layer, [r, s, d] float32."""
    mask = document_mask(packed.documents)
    cosine, sine = rotations(lm, document_positions(packed.documents))
    hidden = F.embedding(packed.ids, lm.model.model.embed_tokens.weight).float()
    for index, block in enumerate(lm.blocks):
        lora = lm.adapter.layer(index) if lm.adapter else None
        heads = read_heads(block, hidden, cosine, sine, lora)
        hidden = finish_layer(block, hidden, attend(heads, mask), lora)
    return hidden


def packed_logprobs(lm: LanguageModel, packed: Packed) -> Tensor:
    """log π of every learned token given what stands before it in its own sequence.

    [r, s] nats, 0 where nothing is learned.
    """
    states = packed_states(lm, packed)
    wanted = packed.learned[:, 1:]
    flat = _head(lm, states[:, :-1][wanted], packed.ids[:, 1:][wanted])
    zeros = torch.zeros(packed.ids.shape, device=lm.device)
    return zeros.masked_scatter(packed.learned, flat)


def _head(lm: LanguageModel, states: Tensor, targets: Tensor) -> Tensor:
    """states: [m, d], targets: [m] → [m]. Logits of a trained matrix are not kept but redone."""
    if not (lm.head.requires_grad and torch.is_grad_enabled()):
        return token_logprobs(lm, states, targets).logprobs

    def some(part: Tensor, own: Tensor) -> Tensor:
        return token_logprobs(lm, part, own).logprobs

    again: Any = checkpoint  # untyped in torch
    pieces = zip(torch.split(states, HEAD_TOKENS), torch.split(targets, HEAD_TOKENS), strict=True)
    found = [again(some, part, own, use_reentrant=False) for part, own in pieces]
    return torch.cat(found) if found else states.new_zeros(0)
