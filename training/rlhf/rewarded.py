"""Episodes for a reward model to score: a run's models, its samples of a batch, their scores.

What every recipe that learns from its own samples has in common. Knows nothing of what is learned.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from training.configs import RewardedConfig
from training.rlhf.advantages import penalise_missing_end
from training.rlhf.conversations import room_for_prompt
from training.rlhf.decoding import Rollout, sample
from training.rlhf.development import Development
from training.rlhf.durable import RunError
from training.rlhf.finite import Step
from training.rlhf.models import LanguageModel, load_language_model
from training.rlhf.policies import Policy, start_policy
from training.rlhf.precision import choose_compute
from training.rlhf.process import Control
from training.rlhf.prompts import PROMPTS, PromptSet, read_prompt_set
from training.rlhf.randomness import uniforms
from training.rlhf.reward_model import RewardModel, Scored, kept_layers, load_reward_model
from training.rlhf.rollouts import Episodes, collect
from training.rlhf.rundir import RunDirectory


@dataclass(frozen=True, eq=False)
class Parts:
    """What a run is made of."""

    base: LanguageModel
    reward: RewardModel
    policy: Policy
    prompts: PromptSet
    development: Development
    """Looks at the policy, by the judge where there is one."""


def load_parts(directory: RunDirectory, config: RewardedConfig) -> Parts:
    """Base, reward model, judge and policy; prompts to roll out, and others for looks.

    Raises RunError as loading does, and spread_missing where `caution` would take nothing off.
    """
    compute = choose_compute(directory)
    base = load_language_model(config.base, device=compute.device, precision=compute.precision)
    reward = load_reward_model(config.reward, base)
    if config.caution and reward.spread is None:
        raise RunError("spread_missing", path=config.reward)
    judge = None if config.judge is None else load_reward_model(config.judge, base)
    policy = start_policy(config, base)
    prompts = read_prompt_set(
        directory,
        base,
        seed=config.seed,
        looks=config.development_samples,
        max_tokens=room_for_prompt(
            base, most=config.max_prompt_tokens, new_tokens=config.max_new_tokens
        ),
    )
    development = Development(config, policy, prompts.development, reward, judge)
    return Parts(base, reward, policy, prompts, development)


def step_of(config: RewardedConfig, parts: Parts, number: int) -> Step:
    """Batch `number` of the run, counted from 0, as the step that learns from it."""
    prompts = parts.prompts.batch(number, config.prompts_per_batch)
    return Step(number=number + 1, file=PROMPTS, ids=[prompt.id for prompt, _ in prompts])


def episodes_of(
    config: RewardedConfig,
    parts: Parts,
    number: int,
    control: Control,
    *,
    so_far: bool = False,
) -> Episodes:
    """Batch `number` of the run: sampled from the policy as it is now, scored by the reward model.

    so_far: also what it says before each token. The same number gives the same random numbers.
    """
    prompts, random = _drawing(config, parts, number)
    return collect(
        parts.policy.lm,
        parts.policy.reference,
        prompts,
        models=[parts.reward],
        samples=config.samples_per_prompt,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        uniforms=random,
        control=control,
        so_far=so_far,
    )


def scored_samples(
    config: RewardedConfig, parts: Parts, number: int, control: Control
) -> tuple[Rollout, Scored]:
    """The same samples and scores, without the passes that a policy gradient needs."""
    prompts, random = _drawing(config, parts, number)
    rollout = sample(
        parts.policy.lm,
        prompts,
        samples=config.samples_per_prompt,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        uniforms=random,
        keep_layers=kept_layers([parts.reward], parts.policy.first),
        control=control,
    )
    return rollout, parts.reward.score_rollout(rollout)


def final_scores(
    config: RewardedConfig, parts: Parts, scored: Scored, finished: Tensor, control: Control
) -> Tensor:
    """The reward model's scores, less what they are unsure by, less for completions without an end.

    finished: (n,). There is no penalty where too few of the base's samples end: it would hide the
    score. What is unsure costs the same with and without an end: never to end is no way around it.
    """
    scores = scored.scores
    if parts.development.base(control).finished_share >= config.missing_eos_min_share:
        scores = penalise_missing_end(
            scores,
            finished.cpu(),
            how=config.missing_eos,
            penalty=config.missing_eos_penalty,
        )
    return scores - config.caution * scored.spread


def _drawing(config: RewardedConfig, parts: Parts, number: int) -> tuple[list[list[int]], Tensor]:
    """The prompts of a batch as tokens, and a row of random numbers for each of their samples."""
    chosen, places = zip(*parts.prompts.batch(number, config.prompts_per_batch), strict=True)
    random = uniforms(config.seed, number, places, config.samples_per_prompt, config.max_new_tokens)
    return [prompt.tokens for prompt in chosen], random
