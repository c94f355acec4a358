"""Losses of the recipes: pure functions of tensors, each with its shapes, units and source.

Knows nothing of models, optimisers or devices. [O] openai/lm-human-preferences,
[S] summarize_from_feedback_details (arXiv 2403.17031), [I] InstructGPT (arXiv 2203.02155).
Log-probabilities and KL divergences are in nats.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from training.rlhf.masks import masked_mean


class RankingStats(NamedTuple):
    """accuracy: share of the untied pairs in the labeler's order (equal scores count one half)."""

    accuracy: float
    pairs: int
    tied_pairs: int


def preferred_pairs(ranks: Tensor, mask: Tensor, places: Tensor | None = None) -> Tensor:
    """True at [p, i, j] where prompt p's completion i is ranked above its completion j.

    ranks: (prompts, K) int, 1 is best, ties equal. mask: (prompts, K) bool, False for padding.
    places: (prompts, K) int, equal for one and the same text, which is in no pair with itself;
    None: all differ. (prompts, K, K) bool.
    """
    both = mask.unsqueeze(2) & mask.unsqueeze(1)
    if places is not None:
        both = both & (places.unsqueeze(2) != places.unsqueeze(1))
    return both & (ranks.unsqueeze(2) < ranks.unsqueeze(1))


def ranking_loss(
    scores: Tensor,
    ranks: Tensor,
    mask: Tensor,
    weights: Tensor | None = None,
    *,
    places: Tensor | None = None,
    worth: Tensor | None = None,
    smoothing: float = 0.0,
) -> tuple[Tensor, RankingStats]:
    """Mean of -log σ(d), d = r_i − r_j, over all pairs where i is ranked above j ([I] eq. 1).

    scores: (prompts, K) float, raw RM scores. ranks: (prompts, K) int, 1 is best, ties equal.
    mask: (prompts, K) bool, False for padding. weights: (prompts,) float, the labels' weights;
    None: all alike. Tied pairs are dropped; the mean is taken over each prompt's untied pairs
    first, so that each prompt weighs the same, whatever its K. A prompt that is one tie has no
    loss and no weight. places: as in `preferred_pairs`. worth: (prompts, K) float, in units of the
    scores: d is less by worth_i − worth_j, where that is above 0 (arXiv 2307.09288, eq. 2).
    smoothing: ε, the chance that a label is the wrong way round: the loss of a pair is then
    −(1 − ε) log σ(d) − ε log σ(−d), least at σ(d) = 1 − ε (conservative DPO, Mitchell 2023).
    A scalar in nats (log 2 where all d are 0).
    """
    pairs = preferred_pairs(ranks, mask, places)
    differences = scores.unsqueeze(2) - scores.unsqueeze(1)
    leads = differences
    if worth is not None:
        leads = differences - (worth.unsqueeze(2) - worth.unsqueeze(1)).clamp(min=0)
    per_prompt = _over_pairs(smoothing * leads - logsigmoid(leads), pairs)
    loss = _over_prompts(per_prompt, pairs.any(dim=2).any(dim=1), weights)
    return loss, _ranking_stats(differences, pairs, mask)


def ipo_loss(
    log_ratios: Tensor,
    ranks: Tensor,
    mask: Tensor,
    weights: Tensor | None = None,
    *,
    tau: float,
    places: Tensor | None = None,
) -> tuple[Tensor, RankingStats]:
    """Mean of (h_i − h_j − 1/(2τ))² over all pairs where i is ranked above j (arXiv 2310.12036).

    Equation 17, h = log π/π_ref of a whole completion. log_ratios: (prompts, K) float, nats. The
    rest as in `ranking_loss`. A scalar in nats squared: 1/(4τ²) where the policy is its reference.
    """
    pairs = preferred_pairs(ranks, mask, places)
    differences = log_ratios.unsqueeze(2) - log_ratios.unsqueeze(1)
    per_prompt = _over_pairs((differences - 1 / (2 * tau)) ** 2, pairs)
    loss = _over_prompts(per_prompt, pairs.any(dim=2).any(dim=1), weights)
    return loss, _ranking_stats(differences, pairs, mask)


def plackett_luce_loss(
    scores: Tensor,
    ranks: Tensor,
    mask: Tensor,
    weights: Tensor | None = None,
    *,
    places: Tensor | None = None,
) -> tuple[Tensor, RankingStats]:
    """−log of the chance that each completion comes before all that are ranked below it.

    Plackett (1975), Luce (1959); of policies arXiv 2305.18290, appendix A.3. Shapes as in
    `ranking_loss`. Tied completions don't compete with each other: each is measured against those
    strictly below it, so that a prompt that is one tie has no loss. The mean is taken over a
    prompt's completions that have one below them. A scalar in nats; for K = 2 that of
    `ranking_loss`.
    """
    pairs = preferred_pairs(ranks, mask, places)
    own = torch.eye(scores.shape[1], dtype=torch.bool, device=scores.device)
    rivals = scores.unsqueeze(1).masked_fill(~(pairs | own), -torch.inf)
    beats = pairs.any(dim=2)
    terms = torch.where(beats, rivals.logsumexp(dim=2) - scores, torch.zeros_like(scores))
    per_prompt = terms.sum(1) / beats.sum(1).clamp(min=1)
    loss = _over_prompts(per_prompt, beats.any(dim=1), weights)
    differences = scores.unsqueeze(2) - scores.unsqueeze(1)
    return loss, _ranking_stats(differences, pairs, mask)


def _over_pairs(losses: Tensor, pairs: Tensor) -> Tensor:
    """(prompts,) the mean of `losses` (prompts, K, K) over each prompt's pairs, 0 without any."""
    kept = torch.where(pairs, losses, torch.zeros_like(losses))
    return kept.sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)).clamp(min=1)


def _over_prompts(per_prompt: Tensor, counts: Tensor, weights: Tensor | None) -> Tensor:
    """The weighted mean of the prompts that have a loss. counts: (prompts,) bool."""
    weight = torch.ones_like(per_prompt) if weights is None else weights.to(per_prompt.dtype)
    weight = weight * counts
    return (per_prompt * weight).sum() / weight.sum().clamp(min=1e-12)


def _ranking_stats(differences: Tensor, pairs: Tensor, mask: Tensor) -> RankingStats:
    """Of the pairs (prompts, K, K); differences of what the completions are ordered by."""
    kept = differences.detach()[pairs]
    right = (kept > 0).sum() + 0.5 * (kept == 0).sum()
    total = int(pairs.sum())
    sizes = mask.sum(dim=1)
    everything = int((sizes * (sizes - 1) // 2).sum())
    return RankingStats(
        accuracy=float(right) / total if total else 0.5, pairs=total, tied_pairs=everything - total
    )


class PolicyStats(NamedTuple):
    """All over the valid tokens: share outside the clip range, mean ratio, k3 estimate of KL."""

    clip_share: float
    ratio: float
    kl: float


def ppo_policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip: float,
    weights: Tensor | None = None,
    denominator: float | None = None,
    whole: bool = False,
) -> tuple[Tensor, PolicyStats]:
    """PPO's clipped surrogate, −min(ρA, clip(ρ, 1 ± ε)A) (arXiv 1707.06347, eq. 7).

    logprobs, old_logprobs: (rows, T) nats, of the taken tokens under the policy now and at the
    rollout, both from the training pass. advantages: (rows, T). mask: (rows, T) bool. weights:
    (rows, T), π_train/π_sampler truncated (see `sampler_weights`); None: 1. The sum is divided by
    `denominator`, the valid tokens of the whole minibatch where this is one micro-batch of it;
    None: the valid tokens here. A scalar. whole: ρ is the completion's, the geometric mean of its
    tokens', and clipped as such (GSPO, arXiv 2507.18071, eq. 7).
    """
    log_ratio = torch.where(mask, logprobs - old_logprobs, torch.zeros_like(logprobs))
    each = log_ratio
    if whole:
        mean = log_ratio.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        log_ratio = mean * mask
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    surrogate = torch.minimum(ratio * advantages, clipped * advantages)
    if weights is not None:
        surrogate = surrogate * weights
    count = float(mask.sum()) if denominator is None else denominator
    loss = -(surrogate * mask).sum() / max(count, 1.0)
    with torch.no_grad():
        outside = ((ratio - 1).abs() > clip).to(ratio.dtype)
        stats = PolicyStats(
            clip_share=float(masked_mean(outside, mask)),
            ratio=float(masked_mean(ratio, mask)),
            kl=float(masked_mean(each.exp() - 1 - each, mask)),
        )
    return loss, stats


def sampler_weights(
    old_logprobs: Tensor, sampler_logprobs: Tensor, mask: Tensor, *, ceiling: float = 2.0
) -> Tensor:
    """π_train/π_sampler for each token, truncated: repairs a sampler of lower precision.

    old_logprobs, sampler_logprobs: (rows, T) nats. mask: (rows, T) bool. (rows, T), 1 outside the
    mask, never above `ceiling` (truncated importance sampling, Ionides 2008).
    """
    gap = torch.where(mask, old_logprobs - sampler_logprobs, torch.zeros_like(old_logprobs))
    return gap.exp().clamp(max=ceiling)


class ValueStats(NamedTuple):
    """Share of the valid tokens where the clipped value gave the larger error."""

    clip_share: float


def value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    *,
    clip: float,
    denominator: float | None = None,
) -> tuple[Tensor, ValueStats]:
    """Half the larger of the squared errors of the value and of the clipped value ([O], [S]).

    values, old_values, returns: (rows, T), in units of the reward. mask: (rows, T) bool. The
    clipped value stays within `clip` of the old one. `denominator` as in `ppo_policy_loss`.
    """
    near = old_values + (values - old_values).clamp(-clip, clip)
    plain, limited = (values - returns) ** 2, (near - returns) ** 2
    count = float(mask.sum()) if denominator is None else denominator
    loss = 0.5 * (torch.maximum(plain, limited) * mask).sum() / max(count, 1.0)
    share = masked_mean((limited > plain).to(values.dtype), mask)
    return loss, ValueStats(clip_share=float(share.detach()))


def kl_k1(logprobs: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """log π − log π_ref of each taken token, 0 outside the mask: unbiased, may be negative.

    logprobs, reference: (rows, T) nats. (rows, T) nats. Sum over T for nats a completion. This is
    the estimate that goes into the reward ([I] eq. 2).
    """
    return torch.where(mask, logprobs - reference, torch.zeros_like(logprobs))


def kl_k3(logprobs: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """π_ref/π − 1 − log(π_ref/π) of each taken token: unbiased and never negative.

    Shapes as in `kl_k1`. For reports and early stops (Schulman, 'Approximating KL divergence',
    2020), and for GRPO's loss (`kl_loss`); its gradient is that of KL(π_ref‖π), not of KL(π‖π_ref).
    """
    gap = torch.where(mask, reference - logprobs, torch.zeros_like(logprobs))
    return gap.exp() - 1 - gap


def kl_loss(
    logprobs: Tensor,
    reference: Tensor,
    mask: Tensor,
    *,
    weights: Tensor | None = None,
    denominator: float | None = None,
) -> Tensor:
    """Mean of k3 over the valid tokens, as GRPO has it in its loss (arXiv 2402.03300, eq. 3, 4).

    Shapes as in `kl_k1`; weights, denominator as in `ppo_policy_loss`. A scalar in nats a token.
    """
    divergence = kl_k3(logprobs, reference, mask)
    if weights is not None:
        divergence = divergence * weights
    count = float(mask.sum()) if denominator is None else denominator
    return (divergence * mask).sum() / max(count, 1.0)


def token_loss(
    logprobs: Tensor,
    mask: Tensor,
    weights: Tensor | None = None,
    *,
    denominator: float | None = None,
) -> Tensor:
    """Mean negative log-likelihood of the valid tokens: the loss of SFT and of PPO-ptx.

    logprobs: (rows, T) nats. mask: (rows, T) bool, true for the tokens to be learned (a
    completion's with its end, never the prompt's). weights: (rows,) float, the labels' weights, or
    (rows, T) where several stand in one row; None: 1. `denominator`: the weighted valid tokens of
    the whole batch where this is one micro-batch of it; None: those here. A scalar in nats a token.
    """
    weight = mask.to(logprobs.dtype)
    if weights is not None:
        own = weights.to(logprobs.dtype)
        weight = weight * (own if own.ndim > 1 else own.unsqueeze(1))
    count = float(weight.sum()) if denominator is None else denominator
    return -(torch.where(mask, logprobs, torch.zeros_like(logprobs)) * weight).sum() / max(
        count, 1e-12
    )
