"""Sampling: token ids in, token ids and log-probabilities out.

Knows nothing of chat templates or rewards. An own loop: a preallocated cache, one prefill for all
samples of a prompt, and the inverse CDF for torch.multinomial, which costs as much as all layers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

from training.rlhf.blocks import finish_layer, read_heads
from training.rlhf.layers import (
    Batch,
    Hidden,
    attend,
    causal_mask,
    final_norm,
    make_batch,
    prompt_positions,
    rotations,
)
from training.rlhf.models import LanguageModel
from training.rlhf.process import Control
from training.rlhf.products import Product
from training.rlhf.room import at_once, is_short

DRAW_ROWS = 8
"""Rows of logits drawn from at a time on a CPU: what stays in its cache."""

DROP_SHARE = 0.25
"""Finished rows leave the batch once they are this share of it: the cache is copied for that."""

CACHE_BYTES = 2**30
"""Of keys and values at a time: longer or more completions are sampled in several goes."""


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
        return self.batch.ids[row][self.batch.mask[row]].tolist()


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
    numbers give the same tokens. Temperature 0 does without them: it is always the likeliest token,
    whose log-probability is then 0. Raises Stopped between two tokens when control asks for it, and
    FloatingPointError for a model whose logits are not finite.
    """
    parts = [
        _sample_together(
            _Loop(lm, prompts[chosen], samples, max_new_tokens, keep_layers),
            uniforms[chosen.start * samples : chosen.stop * samples],
            temperature,
            control,
        )
        for chosen in parts_by_cache(lm, prompts, samples, max_new_tokens)
    ]
    return parts[0] if len(parts) == 1 else _joined(parts, lm.pad_id)


def parts_by_cache(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], samples: int, max_new_tokens: int
) -> Iterator[slice]:
    """Neighbouring prompts whose samples' cache stays within CACHE_BYTES, or one alone."""
    block = lm.blocks[0]
    token_bytes = 2 * lm.layers * block.kv_heads * block.head_width * lm.dtype.itemsize
    start = longest = 0
    for place, prompt in enumerate(prompts):
        longest = max(longest, len(prompt))
        tokens = (place + 1 - start) * samples * (longest + max_new_tokens)
        if place > start and tokens * token_bytes > at_once(CACHE_BYTES):
            yield slice(start, place)
            start, longest = place, len(prompt)
    yield slice(start, len(prompts))


def _sample_together(
    loop: _Loop, uniforms: Tensor, temperature: float, control: Control | None
) -> Rollout:
    """Token by token until every row of the loop has ended or is full. uniforms: [n, t]."""
    limit = loop.ids.shape[1]
    with torch.no_grad():
        logits = loop.prefill()
        for step in range(limit):
            if control is not None:
                control.step_boundary()
            numbers = uniforms[loop.rows, step].to(logits.device)
            tokens, logprobs = draw(logits, numbers, temperature)
            loop.store(step, tokens, logprobs)
            loop.drop_finished(step)
            last = step == limit - 1
            if not len(loop.rows) or (last and not loop.kept):
                break
            logits = loop.feed(step, only_kept=last)
    return loop.rollout()


def _joined(parts: Sequence[Rollout], pad_id: int) -> Rollout:
    """What was sampled in several goes, as if it had been one."""
    batches = [part.batch for part in parts]
    before = [0, *accumulate(len(batch.prompt_ids) for batch in batches)]
    return Rollout(
        batch=Batch(
            _stacked([batch.prompt_ids for batch in batches], left=True, value=pad_id),
            _stacked([batch.prompt_mask for batch in batches], left=True),
            torch.cat([batch.owner + start for batch, start in zip(batches, before, strict=False)]),
            _stacked([batch.ids for batch in batches], value=pad_id),
            _stacked([batch.mask for batch in batches]),
        ),
        finished=torch.cat([part.finished for part in parts]),
        logprobs=_stacked([part.logprobs for part in parts]),
        hidden={
            layer: Hidden(
                _stacked([part.hidden[layer].prompt for part in parts], left=True),
                _stacked([part.hidden[layer].completion for part in parts]),
            )
            for layer in parts[0].hidden
        },
    )


def _stacked(tensors: Sequence[Tensor], *, left: bool = False, value: int = 0) -> Tensor:
    """[n, t, …] each → [Σ n, max t, …], padded with `value` on the right, or on the left."""
    longest = max(tensor.shape[1] for tensor in tensors)
    padded = []
    for tensor in tensors:
        missing = longest - tensor.shape[1]
        sides = [missing, 0] if left else [0, missing]
        padded.append(F.pad(tensor, [0, 0] * (tensor.dim() - 2) + sides, value=value))
    return torch.cat(padded)


def draw(logits: Tensor, uniforms: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Sample by the inverse CDF: one token for each row.

    logits: [r, vocabulary]. uniforms: [r] in [0, 1) → tokens [r] int64, log-probabilities [r].
    temperature: 0 takes the likeliest token, of equals the first.
    """
    if temperature == 0:
        return logits.argmax(-1), torch.zeros(len(logits), device=logits.device)
    tokens = torch.empty(len(logits), dtype=torch.int64, device=logits.device)
    logprobs = torch.empty(len(logits), device=logits.device)
    size = DRAW_ROWS if logits.device.type == "cpu" else len(logits)
    for start in range(0, len(logits), size):
        rows = slice(start, start + size)
        x = logits[rows].float().div_(temperature)
        x -= x.amax(-1, keepdim=True)
        mass = x.exp().cumsum_(-1)
        total = mass[:, -1:]
        # The first token whose cumulative mass exceeds the target: one of no mass is never drawn.
        # Rounding may make the target the total, which nothing exceeds.
        below = torch.nextafter(total, torch.zeros_like(total))
        target = torch.minimum(uniforms[rows, None] * total, below)
        # Logits that are no numbers lead past the end, where a GPU would end the whole process.
        chosen = torch.searchsorted(mass, target, right=True).clamp_(max=mass.shape[1] - 1)
        tokens[rows] = chosen.squeeze(1)
        logprobs[rows] = (x.gather(1, chosen) - total.log()).squeeze(1)
    return tokens, logprobs


class _Loop:
    """The state of one sampling: `rows` are the completions still in the batch, r of n."""

    def __init__(
        self,
        lm: LanguageModel,
        prompts: Sequence[Sequence[int]],
        samples: int,
        limit: int,
        keep_layers: Collection[int],
    ) -> None:
        owner = [prompt for prompt in range(len(prompts)) for _ in range(samples)]
        self.lm, self.prompts = lm, make_batch(lm, prompts, [], owner)
        # Laid out anew the weights are there twice: not where the memory was not enough.
        self.blocks = lm.blocks if is_short() else [b.for_sampling(len(owner)) for b in lm.blocks]
        self.head = Product(lm.head, None, len(owner), as_it_is=is_short())
        n, q = len(owner), self.prompts.prompt_ids.shape[1]
        self.kept = sorted(set(keep_layers))
        self.rows = torch.arange(n)
        self.ids = torch.full((n, limit), lm.pad_id, device=lm.device)
        self.mask = torch.zeros(n, limit, dtype=torch.bool, device=lm.device)
        self.logprobs = torch.zeros(n, limit, device=lm.device)
        self.finished = torch.zeros(n, dtype=torch.bool, device=lm.device)
        self.eos = torch.tensor(lm.eos_ids, device=lm.device)
        self.states = {
            layer: torch.zeros(n, limit, lm.width, device=lm.device) for layer in self.kept
        }
        self.prompt_states: dict[int, Tensor] = {}
        shape = (n, lm.blocks[0].kv_heads, q + limit, lm.blocks[0].head_width)
        self.keys = [torch.empty(shape, dtype=lm.dtype, device=lm.device) for _ in lm.blocks]
        self.values = [torch.empty_like(keys) for keys in self.keys]
        past = self.prompts.prompt_mask[self.prompts.owner]
        self.seen = torch.cat([past, torch.ones_like(self.mask)], 1)[:, None, None]
        """[r, 1, 1, q + t] bool: the keys that a row attends to."""

    def prefill(self) -> Tensor:
        """Run each prompt once; its keys and values go to all its samples. Logits [n, v]."""
        lm, batch = self.lm, self.prompts
        positions, starts = prompt_positions(batch.prompt_mask)
        self.starts = starts[batch.owner]
        cosine, sine = rotations(lm, positions)
        mask = causal_mask(batch.prompt_mask)
        hidden = F.embedding(batch.prompt_ids, lm.model.model.embed_tokens.weight).float()
        for index, block in enumerate(self.blocks):
            self._keep_prompt(index, hidden)
            lora = lm.adapter.layer(index) if lm.adapter else None
            heads = read_heads(block, hidden, cosine, sine, lora)
            size = hidden.shape[1]
            self.keys[index][:, :, :size] = heads.keys.transpose(1, 2)[batch.owner]
            self.values[index][:, :, :size] = heads.values.transpose(1, 2)[batch.owner]
            hidden = finish_layer(block, hidden, attend(heads, mask), lora)
        self._keep_prompt(lm.layers, hidden)
        return self._logits(hidden[:, -1])[batch.owner]

    def feed(self, step: int, *, only_kept: bool) -> Tensor:
        """Run the tokens of `step`; logits [r, v] of the next. only_kept: up to the last kept."""
        lm = self.lm
        rows = self.rows.to(lm.device)
        column = self.prompts.prompt_ids.shape[1] + step
        cosine, sine = rotations(lm, (self.starts[rows] + step)[:, None])
        cosine, sine = cosine.squeeze(1), sine.squeeze(1)
        hidden = F.embedding(self.ids[rows, step], lm.model.model.embed_tokens.weight).float()
        seen = self.seen[..., : column + 1]
        for index, block in enumerate(self.blocks):
            if index in self.states:
                self.states[index][rows, step] = hidden
            if only_kept and index >= self.kept[-1]:
                return hidden
            lora = lm.adapter.layer(index) if lm.adapter else None
            heads = read_heads(block, hidden, cosine, sine, lora)
            keys, values = self.keys[index], self.values[index]
            keys[:, :, column], values[:, :, column] = heads.keys, heads.values
            # The queries that share a key head, as if they were several positions of one head.
            queries = torch.unflatten(heads.queries, 1, (block.kv_heads, -1))
            mixed = F.scaled_dot_product_attention(
                queries,
                keys[:, :, : column + 1],
                values[:, :, : column + 1],
                attn_mask=seen.expand(-1, -1, queries.shape[2], -1),
            )
            hidden = finish_layer(block, hidden, mixed.flatten(1), lora)
        if lm.layers in self.states:
            self.states[lm.layers][rows, step] = hidden
        return hidden if only_kept else self._logits(hidden)

    def store(self, step: int, tokens: Tensor, logprobs: Tensor) -> None:
        """Take in what was drawn; a row that had ended stays as it is."""
        rows = self.rows.to(self.lm.device)
        going = ~self.finished[rows]
        self.ids[rows, step] = torch.where(going, tokens, self.lm.pad_id)
        self.mask[rows, step] = going
        self.logprobs[rows, step] = torch.where(going, logprobs, 0.0)
        self.finished[rows] |= torch.isin(tokens, self.eos) & going

    def drop_finished(self, step: int) -> None:
        """Take ended rows out where that pays; where states are kept, their EOS is run first."""
        rows = self.rows.to(self.lm.device)
        ended = self.finished[rows]
        if self.kept:
            ended = ended & ~self.mask[rows, step]
        count = int(ended.sum())
        if count < len(rows) and count < DROP_SHARE * len(rows):
            return
        going = ~ended
        self.rows = self.rows[going.cpu()]
        self.seen = self.seen[going]
        for cache in (self.keys, self.values):
            for index, tensor in enumerate(cache):
                cache[index] = tensor[going]

    def rollout(self) -> Rollout:
        """Everything that was sampled, cut to the longest completion.

        Raises FloatingPointError where the model's logits are not finite: such tokens mean nothing.
        """
        if not torch.isfinite(self.logprobs).all():
            raise FloatingPointError("log-probabilities of a sample")
        longest = int(self.mask.sum(1).max())
        prompts = self.prompts
        return Rollout(
            batch=Batch(
                prompts.prompt_ids,
                prompts.prompt_mask,
                prompts.owner,
                self.ids[:, :longest],
                self.mask[:, :longest],
            ),
            finished=self.finished,
            logprobs=self.logprobs[:, :longest],
            hidden={
                layer: Hidden(self.prompt_states[layer], states[:, :longest])
                for layer, states in self.states.items()
            },
        )

    def _keep_prompt(self, layer: int, hidden: Tensor) -> None:
        if layer in self.states:
            self.prompt_states[layer] = hidden

    def _logits(self, hidden: Tensor) -> Tensor:
        return self.head(final_norm(self.lm, hidden).to(self.head.dtype))
