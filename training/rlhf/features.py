"""What a reward probe sees of a completion: pooled hidden states of the frozen base, and its length.

Per completion: the mean over its tokens of the residual stream at each depth, its last token's
state at the deepest, and n/N, (n/N)², finished. Knows nothing of rankings or scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from training.records import Message
from training.rlhf.decoding import Rollout
from training.rlhf.models import LanguageModel
from training.rlhf.process import Control

LENGTH_FEATURES = 3


@dataclass(frozen=True)
class FeatureRow:
    """A completion of a conversation. An EOS is appended to a finished one."""

    messages: Sequence[Message]
    text: str
    finished: bool


def feature_count(lm: LanguageModel, layers: Sequence[int]) -> int:
    """f: how many numbers there are for a completion."""
    return (len(layers) + 1) * lm.width + LENGTH_FEATURES


def pooled_features(
    lm: LanguageModel,
    rows: Sequence[FeatureRow],
    layers: Sequence[int],
    *,
    length_scale: float,
    max_tokens: int = 1024,
    batch_tokens: int = 8192,
    progress: Callable[[int, int], None] | None = None,
    control: Control | None = None,
) -> Tensor:
    """[len(rows), f] float32 on the CPU, from the base without its adapter.

    layers: ascending layer counts (lm.layer_at turns a depth into one). length_scale: N.
    max_tokens: a longer prompt loses its beginning, a longer completion its end.
    progress(done, total) is called after each batch of rows.
    """
    raise NotImplementedError


def features_from_rollout(
    rollout: Rollout, layers: Sequence[int], *, length_scale: float
) -> Tensor:
    """The same numbers (but for rounding) from the states kept by `sample(keep_layers=layers)`.

    Only where the rollout's policy changes nothing up to the deepest of `layers`.
    """
    raise NotImplementedError
