"""What a reward probe sees of a completion: pooled states of the frozen base, words and letters.

Per completion: the mean over its tokens of the residual stream at each depth, its last token's
state at the deepest, and what is seen without reading: where its number of words stands between
LENGTHS, letters per word, whether it ended by itself. Knows nothing of rankings or scores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from training.records import Message
from training.rlhf.conversations import fit
from training.rlhf.decoding import Rollout
from training.rlhf.layers import Batch, Hidden, hidden_states, make_batch
from training.rlhf.models import LanguageModel, encode_text
from training.rlhf.process import Control
from training.rlhf.room import at_once
from training.rlhf.spelling import Spelling

LENGTHS = (0, 4, 6, 9, 13, 20, 30, 45, 68, 100, 150, 225, 340, 500)
"""Knots of the length curve, words, each half as much again. A score of the length alone is a line
from each to the next, so that any length may be the best: one straight line, fitted where nearly
all completions are long, would say that the shortest is (docs/experiments.md)."""
VISIBLE_FEATURES = len(LENGTHS) + 1
"""The last columns of the features: the length curve, letters per word, ended by itself."""
LETTERS = 5.0
"""Of a usual word: the unit of letters per word."""
MOST_LETTERS = 4 * LETTERS
"""Of a word, at most; more are several words, as in a script without spaces."""


@dataclass(frozen=True)
class FeatureRow:
    """A completion of a conversation. An EOS is appended to a finished one."""

    messages: Sequence[Message]
    text: str
    finished: bool


def feature_count(lm: LanguageModel, layers: Sequence[int]) -> int:
    """f: how many numbers there are for a completion."""
    return (len(layers) + 1) * lm.width + VISIBLE_FEATURES


@dataclass(frozen=True)
class _Group:
    """The completions of one prompt: token ids, and which row each is."""

    prompt: list[int]
    completions: list[list[int]]
    finished: list[bool]
    rows: list[int]

    def cost(self) -> int:
        """Tokens, roughly, that the layers have to run."""
        return len(self.prompt) + len(self.rows) * max(map(len, self.completions))


def pooled_features(
    lm: LanguageModel,
    rows: Sequence[FeatureRow],
    layers: Sequence[int],
    *,
    max_tokens: int = 1024,
    batch_tokens: int = 4096,
    progress: Callable[[int, int], None] | None = None,
    control: Control | None = None,
) -> Tensor:
    """[len(rows), f] float32 on the CPU, from the base without its adapter.

    layers: ascending layer counts (lm.layer_at turns a depth into one).
    max_tokens: a longer prompt loses its oldest messages; a longer completion its end, and counts
    as unfinished. progress(done, total) is called after each batch of rows.
    """
    base = lm.with_adapter(None)
    features = torch.zeros(len(rows), feature_count(lm, layers))
    done = 0
    for groups in _batches(_group(lm, rows, max_tokens), at_once(batch_tokens)):
        if control is not None:
            control.step_boundary()
        completions = [ids for group in groups for ids in group.completions]
        finished = torch.tensor([flag for group in groups for flag in group.finished])
        owner = [index for index, group in enumerate(groups) for _ in group.rows]
        batch = make_batch(lm, [group.prompt for group in groups], completions, owner)
        with torch.no_grad():
            states = hidden_states(base, batch, layers)
        indices = [row for group in groups for row in group.rows]
        features[indices] = _pool(batch, states, finished, layers, lm.spelling).cpu()
        done += len(indices)
        if progress is not None:
            progress(done, len(rows))
    return features


def features_from_rollout(rollout: Rollout, layers: Sequence[int], spelling: Spelling) -> Tensor:
    """The same numbers (but for rounding) from the states kept by `sample(keep_layers=layers)`.

    [n, f] float32 on the model's device. Only where the rollout's policy changes nothing up to the
    deepest of `layers`, and where a text, tokenized again, gives the tokens that were sampled.
    """
    return _pool(rollout.batch, rollout.hidden, rollout.finished, layers, spelling)


def _pool(
    batch: Batch,
    states: dict[int, Hidden],
    finished: Tensor,
    layers: Sequence[int],
    spelling: Spelling,
) -> Tensor:
    """[n, f]. A completion of no tokens has means of 0 and its prompt's last state."""
    counts = batch.mask.sum(1)
    weights = batch.mask / counts.clamp(min=1)[:, None]
    means = [torch.einsum("nt,ntd->nd", weights, states[layer].completion) for layer in layers]
    deepest = states[layers[-1]]
    last = deepest.prompt[batch.owner, -1]
    if batch.ids.shape[1]:
        at_end = deepest.completion[
            torch.arange(len(counts), device=counts.device), (counts - 1).clamp(min=0)
        ]
        last = torch.where((counts > 0)[:, None], at_end, last)
    visible = visible_so_far(batch, spelling)[:, -1]
    return torch.cat([*means, last, visible, finished.to(visible)[:, None]], dim=1)


def visible_so_far(batch: Batch, spelling: Spelling) -> Tensor:
    """The length curve and the letters per word of no token, the first, the first two, … of a row.

    (n, t + 1, VISIBLE_FEATURES - 1) float32.
    """
    words = pad(spelling.words(batch.ids, batch.mask), (1, 0))
    letters = pad(spelling.letters_so_far(batch.ids, batch.mask), (1, 0))
    words = torch.maximum(words, letters / MOST_LETTERS)
    per_word = letters / words.clamp(min=1) / LETTERS
    return torch.cat([length_curve(words), per_word[..., None]], dim=-1)


def length_curve(words: Tensor) -> Tensor:
    """How much of the way from each of LENGTHS to the next a number of words has gone: 0 to 1.

    Any shape, and a last dimension for the steps between knots; float32. Weighted by what each step
    is worth this is a line from knot to knot. Beyond the lengths that were ranked it stays level:
    a step that no ranking knows is worth nothing.
    """
    knots = torch.tensor(LENGTHS, dtype=torch.float32, device=words.device)
    gone = (words.float()[..., None] - knots[:-1]) / (knots[1:] - knots[:-1])
    return gone.clamp(0, 1)


def _group(lm: LanguageModel, rows: Sequence[FeatureRow], max_tokens: int) -> list[_Group]:
    """Rows of one prompt together, short groups first, so that a batch holds little padding."""
    groups: dict[str, _Group] = {}
    for index, row in enumerate(rows):
        key = json.dumps(row.messages)
        if key not in groups:
            groups[key] = _Group(fit(lm, row.messages, max_tokens).ids, [], [], [])
        ids = encode_text(lm, row.text, finished=row.finished)
        groups[key].completions.append(ids[:max_tokens])
        groups[key].finished.append(row.finished and len(ids) <= max_tokens)
        groups[key].rows.append(index)
    return sorted(groups.values(), key=lambda group: (group.cost(), group.rows[0]))


def _batches(groups: Sequence[_Group], budget: int) -> Iterator[list[_Group]]:
    """Consecutive groups of at most `budget` tokens together; a larger one comes alone."""
    batch: list[_Group] = []
    cost = 0
    for group in groups:
        if batch and cost + group.cost() > budget:
            yield batch
            batch, cost = [], 0
        batch.append(group)
        cost += group.cost()
    if batch:
        yield batch
