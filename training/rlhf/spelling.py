"""How long a text looks, counted from its token ids: words and the letters in them.

A labeler sees words, not tokens: forty tokens may be twenty words or thirty-five. Knows nothing of
models or rewards.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Spelling:
    """For each token of a vocabulary what stands in its text; (vocabulary,) each, on the CPU.

    A word is a run of anything but white space. A token without a text (EOS) has none of it. A
    character whose bytes are spread over tokens counts as a letter in each of them.
    """

    letters: Tensor
    """float32: characters that are no white space."""
    inside: Tensor
    """float32: words that begin within it, after white space of its own."""
    opens: Tensor
    """bool: its first character is no white space, so it goes on with a word or begins one."""
    closes: Tensor
    """bool: its last character is white space, so that the next token begins a word."""

    def words(self, ids: Tensor, mask: Tensor) -> Tensor:
        """How many words the first token, the first two, … of each row hold: (n, t) float32.

        ids: (n, t) int64. mask: (n, t) bool, False behind a row's end.
        """
        own = ids.cpu()
        after_space = self.closes[own].roll(1, dims=1)
        after_space[:, :1] = True
        begun = self.inside[own] + (self.opens[own] & after_space)
        return (begun.to(mask.device) * mask).cumsum(1)

    def letters_so_far(self, ids: Tensor, mask: Tensor) -> Tensor:
        """How many letters the first token, the first two, … of each row hold: (n, t) float32."""
        return (self.letters[ids.cpu()].to(mask.device) * mask).cumsum(1)


def spelling_of(tokenizer: Any, vocabulary: int) -> Spelling:
    """Read the text of every token as it stands within a text.

    vocabulary: rows of the model's output matrix, which may be more than the tokenizer knows. Each
    token is decoded behind another: some tokenizers drop the space at a text's very beginning.
    """
    anchor = tokenizer.encode("a", add_special_tokens=False)[-1:]
    ahead = len(tokenizer.decode(anchor))
    decoded = tokenizer.batch_decode(
        [[*anchor, token] for token in range(min(vocabulary, len(tokenizer)))],
        skip_special_tokens=True,
        clean_up_tokenization_spaces=False,
    )
    texts = [text[ahead:] for text in decoded]
    texts += [""] * (vocabulary - len(texts))
    return Spelling(
        letters=torch.tensor([float(sum(not char.isspace() for char in text)) for text in texts]),
        inside=torch.tensor([float(_words_begun(text)) for text in texts]),
        opens=torch.tensor([bool(text) and not text[0].isspace() for text in texts]),
        closes=torch.tensor([bool(text) and text[-1].isspace() for text in texts]),
    )


def _words_begun(text: str) -> int:
    return sum(one.isspace() and not other.isspace() for one, other in pairwise(text))
