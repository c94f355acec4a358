"""From scores to advantages: pure functions of tensors, shapes and sources in each docstring.

Knows nothing of models or of where a score comes from. Sources as in losses.py. Rewards and values
are in units of the normalised score (standard deviations of the base's samples), KL in nats.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from training.rlhf.masks import last_index, masked_mean, masked_variance

GROUP_EPSILON = 1e-4
"""Added to a group's standard deviation: what is smaller than this is no difference."""


def penalise_missing_end(
    scores: Tensor, finished: Tensor, *, how: Literal["subtract", "replace"], penalty: float
) -> Tensor:
    """Make completions that never ended worse: their score minus `penalty`, or −`penalty` instead.

    scores: (completions,) float. finished: (completions,) bool. 'replace' is [O] and [S] (−1);
    'subtract' keeps the score's signal where many samples hit the token limit.
    """
    worse = scores - penalty if how == "subtract" else torch.full_like(scores, -penalty)
    return torch.where(finished, scores, worse)


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, *, beta: float) -> Tensor:
    """−β·(log π − log π_ref) at every token, plus the score at the last one ([I] eq. 2, [O], [S]).

    scores: (rows,) float. kl: (rows, T) nats, see `losses.kl_k1`. mask: (rows, T) bool.
    (rows, T), 0 outside the mask.
    """
    rewards = torch.where(mask, -beta * kl, torch.zeros_like(kl))
    return rewards.scatter_add(1, last_index(mask).unsqueeze(1), scores.to(kl.dtype).unsqueeze(1))


def still_to_come(rewards: Tensor) -> Tensor:
    """The sum of the rewards from each token on, undiscounted. (rows, T)."""
    return rewards.flip(1).cumsum(1).flip(1)


def generalised_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Advantages and returns by GAE (arXiv 1506.02438, eq. 16): Σ (γλ)^l δ, δ = r + γV' − V.

    rewards, values: (rows, T). mask: (rows, T) bool; after a row's last token the value is 0: a
    completion ends there, whether by itself or at the token limit. Both (rows, T), 0 outside the
    mask; returns = advantages + values.
    """
    weight = mask.to(rewards.dtype)
    values, rewards = values * weight, rewards * weight
    advantages = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])
    following_value = torch.zeros_like(following)
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * following_value - values[:, t]
        following = (delta + gamma * lam * following) * weight[:, t]
        following_value = values[:, t]
        advantages[:, t] = following
    return advantages, (advantages + values) * weight


def leave_one_out(rewards: Tensor) -> Tensor:
    """Each sample's reward minus the mean of the others of its prompt (RLOO, arXiv 2402.14740).

    rewards: (prompts, samples) float, samples ≥ 2: a whole completion's score − β·KL. Same shape;
    each prompt's sum is 0.
    """
    samples = rewards.shape[1]
    if samples < 2:
        raise ValueError(f"leave_one_out: needs 2 samples a prompt or more, has {samples}")
    others = (rewards.sum(dim=1, keepdim=True) - rewards) / (samples - 1)
    return rewards - others


def group_relative(rewards: Tensor) -> Tensor:
    """Each sample's reward minus the mean of its prompt's, its own included (arXiv 2402.03300).

    rewards: (prompts, samples) float, samples ≥ 2. Same shape; each prompt's sum is 0. It is
    (samples − 1)/samples times what `leave_one_out` gives: the sign is the same, the size not.
    """
    if rewards.shape[1] < 2:
        raise ValueError(
            f"group_relative: needs 2 samples a prompt or more, has {rewards.shape[1]}"
        )
    return rewards - rewards.mean(dim=1, keepdim=True)


def scale_by_group(advantages: Tensor, rewards: Tensor) -> Tensor:
    """Divide by the standard deviation of each prompt's rewards (arXiv 2402.03300, section 4.1.2).

    advantages, rewards: (prompts, samples). A prompt whose samples all got the same stays 0. With
    it, a prompt on which all do alike weighs as much as one that tells them apart: the difficulty
    bias of arXiv 2503.20783, which therefore leaves it out.
    """
    return advantages / (rewards.std(dim=1, keepdim=True) + GROUP_EPSILON)


def token_weights(
    mask: Tensor, *, average_over: Literal["completions", "tokens", "limit"], limit: int
) -> Tensor | None:
    """What each token of a loss counts, where the loss is a mean over completions. (rows, T).

    mask: (rows, T) bool. completions: one over the completion's length (arXiv 2402.03300, eq. 3).
    limit: one over `limit`, the most tokens a completion may have: the same for all of them
    (arXiv 2503.20783, section 3.2). tokens: None, all tokens of a minibatch count the same and the
    loss is a mean over them (arXiv 2503.14476, section 3.3).
    """
    if average_over == "tokens":
        return None
    weight = mask.float()
    if average_over == "limit":
        return weight / limit
    return weight / weight.sum(dim=1, keepdim=True).clamp(min=1)


def scale_to_unit(values: Tensor) -> Tensor:
    """Divide by the batch's standard deviation, leaving the mean where it is. Any shape.

    A batch whose samples all got the same reward stays 0: nothing is to be learned from it.
    """
    deviation = values.std(correction=0)
    return values / deviation if float(deviation) > 1e-8 else torch.zeros_like(values)


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the valid tokens, as [O] and [S] do with advantages.

    values: (rows, T). mask: (rows, T) bool. (rows, T), 0 outside the mask.
    """
    mean, variance = masked_mean(values, mask), masked_variance(values, mask)
    return torch.where(
        mask, (values - mean) * torch.rsqrt(variance + 1e-8), torch.zeros_like(values)
    )


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 − Var(returns − values)/Var(returns) over the valid tokens: 1 is a perfect critic.

    values, returns: (rows, T). 0 where the returns do not vary.
    """
    total = masked_variance(returns, mask)
    if float(total) < 1e-12:
        return 0.0
    return float(1 - masked_variance(returns - values, mask) / total)
