"""The recipe `ppo`: a policy trained against a reward model. `python -m training.rlhf.ppo RUN_DIR`.

InstructGPT, section 3.5 and appendix C.4, with the details of lm-human-preferences; the numbers are
the config's. Which checkpoint of a run is its result is for the judge, never for the reward.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from training.configs import PpoConfig
from training.rlhf.layers import Batch, make_batch
from training.rlhf.models import LanguageModel
from training.rlhf.online import OnlineRun, batch_numbers
from training.rlhf.ppo_update import Update, ValueTerm, make_targets
from training.rlhf.process import Control, run_recipe
from training.rlhf.prompts import in_turn, read_texts
from training.rlhf.reward_model import RewardModel
from training.rlhf.rewarded import episodes_of, final_scores, load_parts, step_of
from training.rlhf.ridge_critic import RidgeCritic
from training.rlhf.rundir import ResultMetrics, RunDirectory
from training.rlhf.schedules import warmed_up
from training.rlhf.values import ValueFunction


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Train a policy against a reward model; the result is what the judge liked best on the way."""
    config = directory.config
    if not isinstance(config, PpoConfig):
        raise TypeError(type(config).__name__)

    # 1. Base, reward model, judge; the policy and its prompts; for GAE its critic.
    parts = load_parts(directory, config)
    critic = start_critic(config, parts.reward)
    update = Update(config, parts.policy, value_term(config, critic))

    # 2. Texts for PPO-ptx.
    texts = []
    if config.ptx_coefficient:
        texts = read_texts(directory, parts.base, config.max_prompt_tokens)

    # 3. Where an interrupted run stood, or a first look at what it starts from.
    ridge = critic if isinstance(critic, RidgeCritic) else None
    run = OnlineRun(
        directory, control, config=config, parts=parts, optimiser=update.optimiser, critic=ridge
    )
    run.resume_or_look()
    for number in range(run.done, run.batches):
        # 4. Episodes: sampled from the policy, scored by the reward model.
        started = time.monotonic()
        episodes = episodes_of(config, parts, number, control, so_far=ridge is not None)
        # 5. Rewards and advantages: the score, less for a missing end, less β·KL; β by the KL seen.
        step = step_of(config, parts, number)
        run.measure(episodes, step)
        if run.ran_away:
            break
        scores = final_scores(config, parts, episodes.scored, episodes.finished, control)
        targets = make_targets(config, episodes, scores, run.beta, critic)
        sampled = time.monotonic()
        # 6. Epochs of minibatches, with pretraining gradients where there are texts (PPO-ptx).
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
            texts=text_batches(config, parts.base, texts, number),
            ptx_coefficient=config.ptx_coefficient,
            control=control,
        )
        # 7. Averaged weights, numbers, now and then a look, the state.
        numbers = {
            **batch_numbers(episodes, scores, run.beta),
            **stats._asdict(),
            "seconds_sampling": round(sampled - started, 2),
            "seconds_train": round(time.monotonic() - sampled, 2),
        }
        run.finish_batch(number + 1, numbers)

    # 8. The weights that the judge liked best, within the limits, are the result.
    return run.publish()


def start_critic(config: PpoConfig, reward: RewardModel) -> ValueFunction | RidgeCritic | None:
    """What GAE takes its values from: a network that starts as the reward model, or a ridge fit."""
    if config.advantage != "gae":
        return None
    if config.critic == "network":
        return ValueFunction(reward, config.reward)
    return RidgeCritic(
        reward.base.spelling, samples=config.samples_per_prompt, longest=config.max_new_tokens
    )


def value_term(config: PpoConfig, critic: ValueFunction | RidgeCritic | None) -> ValueTerm | None:
    """What a critic that is a network adds to the loss; a ridge fit learns by itself."""
    if not isinstance(critic, ValueFunction):
        return None
    return ValueTerm(critic, config.value_clip, config.value_coefficient)


def text_batches(
    config: PpoConfig, lm: LanguageModel, texts: Sequence[Sequence[int]], number: int
) -> list[Batch]:
    """The pretraining batches of one update, one a minibatch; a text's first token is given."""
    if not texts:
        return []
    rows = config.prompts_per_batch * config.samples_per_prompt // config.minibatches
    size = max(1, round(rows * config.ptx_texts_per_episode))
    steps = config.epochs * config.minibatches
    batches = []
    for step in range(number * steps, (number + 1) * steps):
        chosen = in_turn(texts, step * size, size, config.seed, "texts")
        prompts, rest = [text[:1] for text in chosen], [text[1:] for text in chosen]
        batches.append(make_batch(lm, prompts, rest, range(size)))
    return batches


if __name__ == "__main__":
    sys.exit(run_recipe(main, "ppo"))
