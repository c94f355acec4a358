"""The recipe `ppo`: a policy trained against a reward model. `python -m training.rlhf.ppo RUN_DIR`.

InstructGPT, section 3.5 and appendix C.4, with the details of lm-human-preferences; the numbers are
the config's. Which checkpoint of a run is its result is for the judge, never for the reward.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from torch import Tensor

from training.configs import PpoConfig
from training.rlhf.advantages import penalise_missing_end
from training.rlhf.development import Development
from training.rlhf.layers import Batch, make_batch
from training.rlhf.models import LanguageModel, load_language_model
from training.rlhf.picking import Picking
from training.rlhf.policies import start_policy
from training.rlhf.ppo_update import Update, make_targets
from training.rlhf.precision import choose_compute
from training.rlhf.process import Control, run_recipe
from training.rlhf.prompts import in_turn, read_prompt_set, read_texts
from training.rlhf.randomness import uniforms
from training.rlhf.reward_model import RewardModel, load_reward_model
from training.rlhf.ridge_critic import RidgeCritic
from training.rlhf.rollouts import Episodes, collect
from training.rlhf.rundir import ResultMetrics, RunDirectory
from training.rlhf.schedules import KlController, kl_target_from, warmed_up
from training.rlhf.values import ValueFunction


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Train a policy against a reward model; the result is what the judge liked best on the way."""
    config = directory.config
    if not isinstance(config, PpoConfig):
        raise TypeError(type(config).__name__)
    compute = choose_compute(directory)

    # 1. Base, reward model, judge; the policy and, for GAE, its critic.
    base = load_language_model(config.base, device=compute.device, precision=compute.precision)
    reward = load_reward_model(config.reward, base)
    judge = None if config.judge is None else load_reward_model(config.judge, base)
    policy = start_policy(config, base)
    critic = start_critic(config, reward)
    update = Update(config, policy, critic if isinstance(critic, ValueFunction) else None)

    # 2. The prompts, those to roll out and those for looks; texts for PPO-ptx.
    prompts = read_prompt_set(
        directory,
        base,
        seed=config.seed,
        looks=config.development_samples,
        max_tokens=config.max_prompt_tokens,
    )
    texts = []
    if config.ptx_coefficient:
        texts = read_texts(directory, base, config.max_prompt_tokens)
    development = Development(config, policy, prompts.development, reward, judge)

    # 3. Where an interrupted run stood, or a first look at what it starts from.
    picking = Picking(directory, control, config=config, policy=policy, development=development)
    run = PpoRun(
        directory,
        control,
        config=config,
        update=update,
        critic=critic if isinstance(critic, RidgeCritic) else None,
        picking=picking,
    )
    run.resume_or_look()
    for number in range(run.done, run.batches):
        # 4. Episodes: sampled from the policy, scored by the reward model.
        started = time.monotonic()
        chosen, places = zip(*prompts.batch(number, config.prompts_per_batch), strict=True)
        episodes = collect(
            policy.lm,
            policy.reference,
            [prompt.tokens for prompt in chosen],
            models=[reward],
            samples=config.samples_per_prompt,
            max_new_tokens=config.max_new_tokens,
            temperature=config.temperature,
            uniforms=uniforms(
                config.seed, number, places, config.samples_per_prompt, config.max_new_tokens
            ),
            control=control,
            so_far=isinstance(critic, RidgeCritic),
        )
        # 5. Rewards and advantages: the score, less for a missing end, less β·KL; β by the KL seen.
        run.measure(episodes)
        scores = episodes.scores[0]
        if development.base(control).finished_share >= config.missing_eos_min_share:
            scores = penalise_missing_end(
                scores,
                episodes.finished.cpu(),
                how=config.missing_eos,
                penalty=config.missing_eos_penalty,
            )
        targets = make_targets(config, episodes, scores, run.beta, critic)
        sampled = time.monotonic()
        # 6. Epochs of minibatches, with pretraining gradients where there are texts (PPO-ptx).
        stats = update.run(
            episodes,
            targets,
            number=number,
            share=warmed_up(number, warmup=config.warmup_steps),
            texts=text_batches(config, base, texts, number),
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


class PpoRun:
    """What a PPO run remembers from batch to batch: β, its critic, and what may become of it."""

    def __init__(
        self,
        directory: RunDirectory,
        control: Control,
        *,
        config: PpoConfig,
        update: Update,
        critic: RidgeCritic | None,
        picking: Picking,
    ) -> None:
        self.directory, self.control, self.config = directory, control, config
        self.update, self.critic, self.picking = update, critic, picking
        self.episodes_per_batch = config.prompts_per_batch * config.samples_per_prompt
        self.batches = -(-config.episodes // self.episodes_per_batch)
        self.done = 0
        self.controller = self._controller(started_at=0.0)

    @property
    def beta(self) -> float:
        """The KL coefficient of the batch at hand, on the normalised score's scale, per nat."""
        return self.config.kl_coefficient if self.config.kl_target is None else self.controller.beta

    def resume_or_look(self) -> None:
        """Go on from the last state; at the very start, look at the policy that it starts from."""
        state = self.directory.load_state()
        if state is None:
            self.picking.look(0, step=0)
            if self.picking.best_look is not None:
                self.controller = self._controller(started_at=self.picking.best_look.kl)
            return
        self.done = state.step
        self.update.optimiser.load(state.tensors, "update.")
        if self.critic is not None:
            self.critic.load(state.tensors, "critic.")
        self.picking.load(state.tensors, state.values)
        self.controller = KlController(**state.values["controller"])

    def measure(self, episodes: Episodes) -> None:
        """Set β by the KL of the batch at hand, before it is learned from.

        A batch later the policy may have gone twice as far: that delay alone makes KL swing.
        """
        kl = float(episodes.kl.sum(1).mean())
        self.controller = self.controller.measured(kl, episodes=self.episodes_per_batch)

    def finish_batch(self, done: int, numbers: Mapping[str, float | None]) -> None:
        """Take note of a batch, the `done`-th; look and save where it is time; stop if asked to."""
        self.picking.average()
        last = done == self.batches
        looked = {}
        seen = done * self.episodes_per_batch
        if self.picking.is_due(seen, batch=self.episodes_per_batch, last=last):
            looked = self.picking.look(seen, step=done)
        self.directory.log_metrics(done, self.batches, **{**numbers, **looked})
        if done % self.config.save_every == 0 or last or self.control.stopping:
            self._save(done)
        if not last:
            self.control.step_boundary()

    def publish(self) -> ResultMetrics:
        """Make the best look's weights the checkpoint, and its numbers the run's metrics."""
        found = self.picking.publish()
        look = self.picking.best_look
        return {
            "episodes": self.batches * self.episodes_per_batch,
            "picked_episode": None if look is None else look.seen,
            "reward": None if look is None else look.score,
            **found,
        }

    def _controller(self, *, started_at: float) -> KlController:
        """Without a target it only measures: β is fixed."""
        config = self.config
        target = kl_target_from(started_at, target=config.kl_target or 1.0, step=config.kl_step)
        return KlController(target=target, start=config.kl_coefficient)

    def _save(self, done: int) -> None:
        tensors = {
            **self.update.optimiser.tensors("update."),
            **({} if self.critic is None else self.critic.tensors("critic.")),
            **self.picking.tensors(),
        }
        values = {"controller": asdict(self.controller), **self.picking.values()}
        self.directory.save_state(done, tensors, values)


def batch_numbers(episodes: Episodes, scores: Tensor, beta: float) -> dict[str, float | None]:
    """What metrics.jsonl says of a batch's episodes. scores: (n,), with the penalty for no end."""
    mask = episodes.batch.mask
    kl = episodes.kl.sum(1)
    gap = (episodes.old - episodes.sampler)[mask]
    return {
        "reward": float((scores - beta * kl.cpu()).mean()),
        "score": float(scores.mean()),
        "kl": float(kl.mean()),
        "beta": beta,
        "entropy": float(episodes.entropy[mask].mean()),
        "length": float(episodes.lengths.float().mean()),
        "finished_share": float(episodes.finished.float().mean()),
        "sampler_gap": float(gap.abs().mean()),
    }


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
