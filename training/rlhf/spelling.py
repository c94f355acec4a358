"""How long a text looks, counted from its token ids: words and the letters in them.

A labeler sees words, not tokens: forty tokens may be twenty words or thirty-five. Knows nothing of
models or rewards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True, eq=False)
class Spelling:
    """For each token of a vocabulary what stands in its text; (vocabulary,) each, on the CPU.

    A word is a run of anything but white space. A token without a text (EOS, and NUL, which no
    stored text keeps) has none of it. A character whose bytes are spread over tokens counts as a
    letter in each of them.
    """

    letters: Tensor
    """float32: characters that are no white space."""
    inside: Tensor
    """float32: words that begin within it, after white space of its own."""
    opens: Tensor
    """bool: its first character is no white space, so it goes on with a word or begins one."""
    closes: Tensor
    """bool: its last character is white space, so that the next one with a text begins a word."""

    def words(self, ids: Tensor, mask: Tensor) -> Tensor:
        """How many words the first token, the first two, … of each row hold: (n, t) float32.

        ids: (n, t) int64. mask: (n, t) bool, False behind a row's end.
        """
        own = ids.cpu()
        if not own.numel():
            return torch.zeros(own.shape, device=mask.device)
        spelled = (self.letters[own] > 0) | self.closes[own]
        last = torch.where(spelled, torch.arange(own.shape[1]), -1).cummax(1).values
        before = pad(last, (1, -1), value=-1)
        after_space = (before < 0) | self.closes[own].gather(1, before.clamp(min=0))
        begun = self.inside[own] + (self.opens[own] & after_space)
        return (begun.to(mask.device) * mask).cumsum(1)

    def letters_so_far(self, ids: Tensor, mask: Tensor) -> Tensor:
        """How many letters the first token, the first two, … of each row hold: (n, t) float32."""
        return (self.letters[ids.cpu()].to(mask.device) * mask).cumsum(1)


@lru_cache(maxsize=2)
def spelling_of(tokenizer: Any, vocabulary: int) -> Spelling:
    """Read the text of every token as it stands within a text; once for each tokenizer in use.

    vocabulary: rows of the model's output matrix, which may be more than the tokenizer knows. Each
    token is decoded behind another: some tokenizers drop the space at a text's very beginning.
    """

    def read(rows: list[list[int]]) -> list[str]:
        texts: list[str] = tokenizer.batch_decode(
            rows, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return [text.replace("\0", "") for text in texts]

    anchor = tokenizer.encode("a", add_special_tokens=False)[-1:]
    known = min(vocabulary, 1 + max(tokenizer.get_vocab().values()))
    ahead = len(read([anchor])[0])
    texts = [text[ahead:] for text in read([[*anchor, token] for token in range(known)])]
    texts += [""] * (vocabulary - len(texts))
    return Spelling(
        letters=torch.tensor([float(sum(not char.isspace() for char in text)) for text in texts]),
        inside=torch.tensor([float(_words_begun(text)) for text in texts]),
        opens=torch.tensor([bool(text) and not text[0].isspace() for text in texts]),
        closes=torch.tensor([bool(text) and text[-1].isspace() for text in texts]),
    )


def _words_begun(text: str) -> int:
    return sum(one.isspace() and not other.isspace() for one, other in pairwise(text))
