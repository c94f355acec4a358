"""The recipe `grpo`: PPO without a critic. `python -m training.rlhf.grpo RUN_DIR`.

A completion is measured against the others of its prompt: group-relative policy optimisation
(DeepSeekMath, arXiv 2402.03300, section 4.1), REINFORCE leave-one-out (arXiv 2402.14740), and their
forms without the biases of length and difficulty (Dr. GRPO, arXiv 2503.20783). Episodes, rewards,
KL and the update are PPO's; only what a completion is measured against, and what a token of it
counts, are GRPO's own. As with PPO, the judge picks the run's result.
"""

from __future__ import annotations

import sys
import time

from torch import Tensor

from training.configs import GrpoConfig
from training.rlhf.advantages import (
    group_relative,
    leave_one_out,
    scale_by_group,
    scale_to_unit,
    token_weights,
)
from training.rlhf.online import OnlineRun, batch_numbers
from training.rlhf.ppo_update import Targets, Update
from training.rlhf.process import Control, run_recipe
from training.rlhf.rewarded import episodes_of, final_scores, load_parts, step_of
from training.rlhf.rollouts import Episodes
from training.rlhf.rundir import ResultMetrics, RunDirectory
from training.rlhf.schedules import warmed_up


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Train a policy against a reward model; the result is what the judge liked best on the way."""
    config = directory.config
    if not isinstance(config, GrpoConfig):
        raise TypeError(type(config).__name__)

    # 1. Base, reward model, judge; the policy and its prompts.
    parts = load_parts(directory, config)
    update = Update(config, parts.policy)

    # 2. Where an interrupted run stood, or a first look at what it starts from.
    run = OnlineRun(directory, control, config=config, parts=parts, optimiser=update.optimiser)
    run.resume_or_look()
    for number in range(run.done, run.batches):
        # 3. Groups: several completions of each prompt, scored by the reward model.
        started = time.monotonic()
        episodes = episodes_of(config, parts, number, control)
        # 4. What each is worth beside the others of its prompt; β by the KL seen.
        step = step_of(config, parts, number)
        run.measure(episodes, step)
        if run.ran_away:
            break
        scores = final_scores(config, parts, episodes.scored, episodes.finished, control)
        targets = make_targets(config, episodes, scores, run.beta)
        sampled = time.monotonic()
        # 5. Epochs of minibatches of the clipped surrogate.
        stats = update.run(
            episodes,
            targets,
            number=number,
            step=step,
            share=warmed_up(
                number,
                warmup=config.warmup_steps,
                anneal_over=run.batches if config.anneal else None,
            ),
            control=control,
        )
        # 6. Averaged weights, numbers, now and then a look, the state.
        numbers = {
            **batch_numbers(episodes, scores, run.beta),
            **stats._asdict(),
            "seconds_sampling": round(sampled - started, 2),
            "seconds_train": round(time.monotonic() - sampled, 2),
        }
        run.finish_batch(number + 1, numbers)

    # 7. The weights that the judge liked best, within the limits, are the result.
    return run.publish()


def make_targets(config: GrpoConfig, episodes: Episodes, scores: Tensor, beta: float) -> Targets:
    """Advantages of a batch, and what each token counts. scores: (n,), less for a missing end.

    kl_in 'reward': a completion's reward is its score − β·KL; 'loss': its score, and the loss has
    the KL. All tokens of a completion share its advantage (arXiv 2402.03300, section 4.1.2).
    """
    mask = episodes.batch.mask
    in_loss = config.kl_in == "loss"
    whole = scores.to(mask.device)
    if not in_loss:
        whole = whole - beta * episodes.kl.sum(1)
    advantages = group_advantages(config, whole.view(-1, config.samples_per_prompt))
    return Targets(
        advantages.view(-1, 1) * mask,
        token_weights=token_weights(
            mask, average_over=config.average_over, limit=config.max_new_tokens
        ),
        kl=beta if in_loss else 0.0,
    )


def group_advantages(config: GrpoConfig, rewards: Tensor) -> Tensor:
    """(prompts, samples) from the rewards of whole completions, (prompts, samples)."""
    baseline = leave_one_out if config.baseline == "leave_one_out" else group_relative
    advantages = baseline(rewards)
    if config.scale == "group":
        return scale_by_group(advantages, rewards)
    return scale_to_unit(advantages) if config.scale == "batch" else advantages


if __name__ == "__main__":
    sys.exit(run_recipe(main, "grpo"))
