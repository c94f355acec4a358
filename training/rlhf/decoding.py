"""Sampling: token ids in, token ids and log-probabilities out.

Knows nothing of chat templates or rewards. An own loop: a preallocated cache, one prefill for all
samples of a prompt, the inverse CDF instead of torch.multinomial (which costs as much as all layers).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import Tensor

from training.rlhf.layers import Batch, Hidden
from training.rlhf.models import LanguageModel
from training.rlhf.process import Control


@dataclass(frozen=True, eq=False)
class Rollout:
    """What was sampled: n = prompts × samples completions, sample s of prompt p in row p·S + s."""

    batch: Batch
    """Prompts and completions; ids are pad_id after the first EOS, where the mask is False."""
    finished: Tensor
    """[n] bool: ended with EOS, not at the token limit."""
    logprobs: Tensor
    """[n, t] float32: log π of each token at the sampling temperature, 0 where masked."""
    hidden: dict[int, Hidden]
    """After each kept layer the residual stream of all prompt and completion tokens."""

    def completion(self, row: int) -> list[int]:
        """Row's token ids without padding, EOS included."""
        return self.batch.ids[row][self.batch.mask[row]].tolist()  # type: ignore[no-any-return]


def sample(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    samples: int,
    max_new_tokens: int,
    temperature: float,
    uniforms: Tensor,
    keep_layers: Collection[int] = (),
    control: Control | None = None,
) -> Rollout:
    """Draw `samples` completions for each prompt from the whole distribution at `temperature`.

    uniforms: [prompts * samples, max_new_tokens] float32 in [0, 1), one for each token: the same
    numbers give the same tokens. Raises Stopped between two tokens when control asks for it.
    """
    raise NotImplementedError
