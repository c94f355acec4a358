"""The forward pass, in pieces: prompts computed once, each with any number of completions.

A completion's tokens attend to their prompt's and to their own, so K completions of one prompt cost
one prompt. Layers can be run from any one to any other, so what lies below a LoRA adapter is
computed once and used again. Numbers don't depend on padding but for rounding.
Knows nothing of sampling or losses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from training.rlhf.blocks import Heads, finish_layer, read_heads, rms_norm
from training.rlhf.models import LanguageModel

CHUNK_ROWS = 128
"""Rows of logits at a time: 128 × 49,152 are 25 MB in float32."""


@dataclass(frozen=True, eq=False)
class Batch:
    """p prompts of at most q tokens, n completions of at most t tokens."""

    prompt_ids: Tensor
    """[p, q] int64, padded on the left."""
    prompt_mask: Tensor
    """[p, q] bool, False for padding."""
    owner: Tensor
    """[n] int64: the prompt of each completion."""
    ids: Tensor
    """[n, t] int64, padded on the right."""
    mask: Tensor
    """[n, t] bool: true up to and including the first EOS."""


class Hidden(NamedTuple):
    """The residual stream after some layer, float32: prompt [p, q, d], completion [n, t, d]."""

    prompt: Tensor
    completion: Tensor


class Logprobs(NamedTuple):
    """log π of given tokens and the entropy of the distribution each was drawn from, in nats."""

    logprobs: Tensor
    entropy: Tensor


def make_batch(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    owner: Sequence[int],
) -> Batch:
    """Pad token ids into a Batch on the model's device. owner[i]: the prompt of completion i.

    A prompt must have at least one token; a completion may have none.
    """
    if any(not prompt for prompt in prompts):
        raise ValueError("a prompt must have at least one token")
    longest = max(map(len, prompts))
    prompt_ids = torch.full((len(prompts), longest), lm.pad_id)
    prompt_mask = torch.zeros(len(prompts), longest, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        prompt_ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        prompt_mask[row, longest - len(prompt) :] = True
    longest = max(map(len, completions), default=0)
    ids = torch.full((len(completions), longest), lm.pad_id)
    mask = torch.zeros(len(completions), longest, dtype=torch.bool)
    for row, completion in enumerate(completions):
        ids[row, : len(completion)] = torch.tensor(list(completion), dtype=torch.int64)
        mask[row, : len(completion)] = True
    tensors = (prompt_ids, prompt_mask, torch.tensor(list(owner), dtype=torch.int64), ids, mask)
    return Batch(*(tensor.to(lm.device) for tensor in tensors))


def embed(lm: LanguageModel, batch: Batch) -> Hidden:
    """The embeddings: the residual stream after 0 layers."""
    table = lm.model.model.embed_tokens.weight
    return Hidden(
        F.embedding(batch.prompt_ids, table).float(), F.embedding(batch.ids, table).float()
    )


def run_layers(lm: LanguageModel, batch: Batch, hidden: Hidden, first: int, last: int) -> Hidden:
    """From the residual stream after `first` layers to that after `last` layers."""
    if first >= last:
        return hidden
    plan = Plan.of(lm, batch)
    rows = plan.rows_of(hidden)
    for index in range(first, last):
        rows = run_layer(lm, plan, rows, index)
    return plan.hidden_of(rows)


def states_after(lm: LanguageModel, batch: Batch, hidden: Hidden | None, first: int) -> Hidden:
    """The residual stream after the last layer, going on from that after `first` layers.

    hidden: None: computed from the tokens.
    """
    if hidden is None:
        return hidden_states(lm, batch, [lm.layers])[lm.layers]
    return run_layers(lm, batch, hidden, first, lm.layers)


def hidden_states(lm: LanguageModel, batch: Batch, layers: Collection[int]) -> dict[int, Hidden]:
    """The residual stream after each of `layers` (0: embeddings); runs no further than the last."""
    states: dict[int, Hidden] = {}
    plan, at = Plan.of(lm, batch), 0
    rows = plan.rows_of(embed(lm, batch))
    for layer in sorted(set(layers)):
        for index in range(at, layer):
            rows = run_layer(lm, plan, rows, index)
        states[layer], at = plan.hidden_of(rows), layer
    return states


def predicting(hidden: Hidden, batch: Batch) -> Tensor:
    """[n, t, d]: for each completion token the state that predicts it, one position earlier."""
    before = hidden.prompt[batch.owner, -1:]
    return torch.cat([before, hidden.completion[:, :-1]], dim=1)[:, : batch.ids.shape[1]]


def completion_logprobs(
    lm: LanguageModel,
    batch: Batch,
    hidden: Hidden,
    temperature: float = 1.0,
    *,
    learn_entropy: bool = False,
) -> Logprobs:
    """From the residual stream after the last layer to two of [n, t], 0 where the mask is False."""
    flat = token_logprobs(
        lm,
        predicting(hidden, batch)[batch.mask],
        batch.ids[batch.mask],
        temperature,
        learn_entropy=learn_entropy,
    )
    zeros = torch.zeros(batch.ids.shape, device=lm.device)
    return Logprobs(
        zeros.masked_scatter(batch.mask, flat.logprobs),
        zeros.masked_scatter(batch.mask, flat.entropy),
    )


def token_logprobs(
    lm: LanguageModel,
    states: Tensor,
    targets: Tensor,
    temperature: float = 1.0,
    *,
    learn_entropy: bool = False,
) -> Logprobs:
    """states: [m, d], the residual stream after the last layer; targets: [m] int64 → two of [m].

    The entropy carries a gradient only where it is asked for: it takes another matrix product.
    """
    x = final_norm(lm, states)
    if lm.head.requires_grad:
        logits = F.linear(x.to(lm.dtype), lm.head).float() / temperature
        logprobs = logits.log_softmax(-1)
        all_of_it = logprobs if learn_entropy else logprobs.detach()
        entropy = -(all_of_it.exp() * all_of_it).sum(-1)
        return Logprobs(logprobs.gather(1, targets[:, None]).squeeze(1), entropy)
    return Logprobs(*cast(Any, _FrozenHead).apply(x, lm.head, targets, temperature, learn_entropy))


def final_norm(lm: LanguageModel, states: Tensor) -> Tensor:
    """states: [..., d], the residual stream after the last layer → what the output matrix reads."""
    norm = lm.model.model.norm
    return rms_norm(states, norm.weight, norm.variance_epsilon)


class _FrozenHead(torch.autograd.Function):
    """log softmax of a frozen output matrix's logits at the targets, without keeping the logits.

    d log p(target) / dx = (W[target] - Σ_v p(v) W[v]) / temperature is computed with the value, so
    the memory is [m, d] instead of [m, vocabulary], and nothing is computed twice. So is, where it
    is asked for, dH / dx = -Σ_v p(v) (log p(v) + H) W[v] / temperature.
    """

    @staticmethod
    def forward(  # noqa: PLR0917  autograd hands all of them over by place
        ctx: Any,
        x: Tensor,
        head: Tensor,
        targets: Tensor,
        temperature: float,
        learn_entropy: bool,
    ) -> tuple[Tensor, Tensor]:
        logprobs = torch.empty(len(x), device=x.device)
        entropy = torch.empty_like(logprobs)
        slope = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        entropy_slope = torch.empty_like(x) if slope is not None and learn_entropy else None
        for start in range(0, len(x), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            logits = F.linear(x[rows].to(head.dtype), head).float().div_(temperature)
            logits = logits.log_softmax(-1)
            logprobs[rows] = logits.gather(1, targets[rows, None]).squeeze(1)
            p = logits.exp()
            entropy[rows] = -torch.linalg.vecdot(p, logits)
            if slope is not None:
                slope[rows] = (head[targets[rows]].float() - p.to(head.dtype) @ head) / temperature
            if entropy_slope is not None:
                pull = p.mul_(logits.add_(entropy[rows, None]))
                entropy_slope[rows] = -(pull.to(head.dtype) @ head) / temperature
        ctx.save_for_backward(slope, entropy_slope)
        if not learn_entropy:
            ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None, None, None]:
        slope, entropy_slope = ctx.saved_tensors
        found = grads[0][:, None] * slope
        if entropy_slope is not None:
            found = found + grads[1][:, None] * entropy_slope
        return found, None, None, None, None


@dataclass(frozen=True, eq=False)
class Plan:
    """What every layer needs of a batch: where tokens stand, their positions, who attends to whom.

    Tokens go through the matrices as m rows without padding, the prompts' before the completions';
    only attention sees them as rectangles. A place is one of the p·q + n·t of both rectangles.
    """

    owner: Tensor
    tokens: Tensor
    """[m] int64: the place of each row."""
    prompt_rows: Tensor
    """[p, q] int64: the row of each place; that of padding is read, and nothing comes of it."""
    rows: Tensor
    """[n, t] int64 likewise."""
    rotation: tuple[Tensor, Tensor]
    """Cosine and sine of the rows' positions, [m, 1, w] float32 each."""
    prompt_mask: Tensor
    """[p, 1, q, q] bool: true where a query attends to a key."""
    mask: Tensor
    """[n, 1, t, q + t] bool."""

    @classmethod
    def of(cls, lm: LanguageModel, batch: Batch) -> Plan:
        p, q = batch.prompt_ids.shape
        n, t = batch.ids.shape
        present = torch.cat([batch.prompt_mask.flatten(), batch.mask.flatten()])
        tokens = present.nonzero().squeeze(1)
        rows = (present.cumsum(0) - 1).clamp(min=0)
        positions, starts = prompt_positions(batch.prompt_mask)
        own = starts[batch.owner, None] + torch.arange(t, device=lm.device)
        cosine, sine = rotations(lm, torch.cat([positions.flatten(), own.flatten()])[tokens][None])
        past = batch.prompt_mask[batch.owner, None, None, :].expand(n, 1, t, q)
        causal = torch.ones(t, t, dtype=torch.bool, device=lm.device).tril()
        return cls(
            owner=batch.owner,
            tokens=tokens,
            prompt_rows=rows[: p * q].view(p, q),
            rows=rows[p * q :].view(n, t),
            rotation=(cosine[0], sine[0]),
            prompt_mask=causal_mask(batch.prompt_mask),
            mask=torch.cat([past, causal.expand(n, 1, t, t)], dim=-1),
        )

    def rows_of(self, hidden: Hidden) -> Tensor:
        """[m, d]: the tokens of both rectangles."""
        return self._tokens_of(hidden.prompt, hidden.completion)

    def hidden_of(self, rows: Tensor) -> Hidden:
        """The rectangles again, 0 where there is no token."""
        shapes = (self.prompt_rows.shape, self.rows.shape)
        width, sizes = rows.shape[1], [shape.numel() for shape in shapes]
        flat = rows.new_zeros(sum(sizes), width).index_copy(0, self.tokens, rows)
        prompt, completion = torch.split(flat, sizes)
        return Hidden(prompt.view(*shapes[0], width), completion.view(*shapes[1], width))

    def attend(self, heads: Heads) -> Tensor:
        """Each token to its prompt and to what stands before it: heads of rows → [m, h * w]."""
        prompt, own = _laid_out(heads, self.prompt_rows), _laid_out(heads, self.rows)
        mixed = attend(prompt, self.prompt_mask)
        if not self.rows.numel():
            return mixed.flatten(0, 1).index_select(0, self.tokens)
        both = Heads(
            own.queries,
            # index_select: the gradients of prompt.keys[owner] take two hundred times longer.
            torch.cat([prompt.keys.index_select(0, self.owner), own.keys], dim=1),
            torch.cat([prompt.values.index_select(0, self.owner), own.values], dim=1),
        )
        return self._tokens_of(mixed, attend(both, self.mask))

    def _tokens_of(self, prompt: Tensor, completion: Tensor) -> Tensor:
        flat = torch.cat([prompt.flatten(0, 1), completion.flatten(0, 1)])
        return flat.index_select(0, self.tokens)


def _laid_out(heads: Heads, rows: Tensor) -> Heads:
    """heads of rows, [m, h, w] each, as rectangles: [*rows.shape, h, w] each."""
    flat = rows.flatten()
    return Heads(*(torch.unflatten(part.index_select(0, flat), 0, rows.shape) for part in heads))


def prompt_positions(prompt_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the tokens [p, q], counted without padding, and of the first after them [p]."""
    counts = prompt_mask.cumsum(1)
    return (counts - 1).clamp(min=0), counts[:, -1]


def causal_mask(prompt_mask: Tensor) -> Tensor:
    """[p, q] → [p, 1, q, q] bool. Padding attends to itself, so that no row is empty."""
    size = prompt_mask.shape[1]
    causal = torch.ones(size, size, dtype=torch.bool, device=prompt_mask.device).tril()
    itself = torch.eye(size, dtype=torch.bool, device=prompt_mask.device)
    return ((prompt_mask[:, None, :] & causal) | itself)[:, None]


def rotations(lm: LanguageModel, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of rotary positions. positions: [r, s] → two of [r, s, 1, w] float32."""
    like = torch.empty(0, device=positions.device)
    cosine, sine = lm.model.model.rotary_emb(like, positions)
    return cosine.unsqueeze(2), sine.unsqueeze(2)


def run_layer(lm: LanguageModel, plan: Plan, rows: Tensor, index: int) -> Tensor:
    """One layer: the residual stream of a batch's rows after `index` layers to after one more."""
    block, lora = lm.blocks[index], lm.adapter.layer(index) if lm.adapter else None
    mixed = plan.attend(read_heads(block, rows, *plan.rotation, lora))
    return finish_layer(block, rows, mixed, lora)


def attend(heads: Heads, mask: Tensor) -> Tensor:
    """Scaled dot-product attention. queries [r, s, h, w], keys [r, k, h', w] → [r, s, h * w].

    The queries that share a key head stand below each other as if they were more positions: the
    same numbers as with repeated keys, and a backward pass in less than half the time.
    """
    rows, size, count, width = heads.queries.shape
    shared = heads.keys.shape[2]
    group = count // shared
    queries = torch.unflatten(heads.queries, 2, (shared, group)).transpose(1, 2).flatten(2, 3)
    keys, values = heads.keys.transpose(1, 2), heads.values.transpose(1, 2)
    mixed = F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=mask.repeat_interleave(group, 2)
    )
    apart = torch.unflatten(mixed, 2, (size, group)).transpose(1, 2)
    return apart.reshape(rows, size, count * width)
