"""Looks at a policy along its run, on development prompts, and which of them was the best.

The judge compares the policy's samples with the base's; a reward has no say in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training.configs import PolicyConfig
from training.records import SampleRow
from training.rlhf.looks import SHOWN, Drawing, Samples, against, draw_samples
from training.rlhf.policies import Policy
from training.rlhf.process import Control
from training.rlhf.prompts import Prompt
from training.rlhf.reward_model import RewardModel
from training.rlhf.texts import distinct

SEEN_IN_A_LOOK = 0.7
"""How much a look sees of what an evaluation will find lost in distinct-2: its fewer texts repeat
each other less (docs/experiments.md)."""
FOR_CHANCE = 0.9
"""Of the loss that a look may see. It errs by about a tenth, and what stands exactly at the limit
there would stand beyond it in every other evaluation."""
BASE_SAMPLES = 2
"""Of the base, for each of the policy's: they are drawn once, and make looks less noisy."""


@dataclass(frozen=True)
class Look:
    """What a look found, on development prompts. Scores are the reward model's."""

    seen: int
    """Episodes (of dpo: prompts) that the policy had learned from."""
    score: float | None
    kl: float
    """Nats a completion, to the base."""
    length: float
    """Tokens a completion."""
    finished_share: float
    entropy: float
    distinct2: float
    distinct_share: float
    """distinct-2 as a share of the base's over as many texts."""
    win_rate: float | None
    """Against the base under the judge, ties one half; None without a judge."""
    preference: float | None
    """Mean probability that a labeler prefers the policy's, says the judge: less noisy."""

    def excess(self, config: PolicyConfig) -> float:
        """How far it has gone to the nearer limit, of KL or of lost variety: 1 is at the limit."""
        most_lost = FOR_CHANCE * SEEN_IN_A_LOOK * (1 - config.distinct_share)
        lost = max(0.0, 1 - self.distinct_share)
        variety = lost / most_lost if most_lost else (math.inf if lost else 0.0)
        return max(self.kl / config.kl_limit, variety)

    def within(self, config: PolicyConfig) -> bool:
        """Whether a checkpoint from here may become the run's result."""
        return self.excess(config) <= 1

    def better_than(self, other: Look, config: PolicyConfig) -> bool:
        """The judge's choice among those within the limits; without a judge, the later one."""
        if not self.within(config) or not other.within(config):
            return self.within(config)
        if self.preference is None or other.preference is None:
            return self.seen >= other.seen
        return self.preference >= other.preference


class Development:
    """Draws the base's samples once, and the policy's at each look, with the same numbers."""

    def __init__(
        self,
        config: PolicyConfig,
        policy: Policy,
        prompts: Sequence[Prompt],
        reward: RewardModel | None,
        judge: RewardModel | None,
    ) -> None:
        self.config, self.policy, self.prompts = config, policy, prompts
        self.reward, self.judge = reward, judge
        self.models = [model for model in (reward, judge) if model is not None]
        self.samples = max(1, config.development_samples // len(prompts))
        self._base: Samples | None = None

    def base(self, control: Control) -> Samples:
        """The base's samples, BASE_SAMPLES times as many as the policy's."""
        if self._base is None:
            self._base = self._draw(BASE_SAMPLES, control, of_base=True)
        return self._base

    def look(self, seen: int, control: Control) -> tuple[Look, list[SampleRow]]:
        """Sample the policy as it is now, compare it with the base; and texts for people."""
        base, ours = self.base(control), self._draw(1, control, of_base=False)
        like = distinct(self._as_many(base.texts))
        win_rate = preference = None
        if self.judge is not None:
            theirs = base.scores[-1].view(len(self.prompts), -1)
            won, sure = against(
                ours.scores[-1], theirs.repeat_interleave(self.samples, 0), self.judge
            )
            win_rate, preference = float(won.mean()), float(sure.mean())
        look = Look(
            seen=seen,
            score=None if self.reward is None else float(ours.scores[0].mean()),
            kl=float(ours.kl.mean()),
            length=ours.length,
            finished_share=ours.finished_share,
            entropy=ours.entropy,
            distinct2=ours.distinct2,
            distinct_share=ours.distinct2 / max(like, 1e-9),
            win_rate=win_rate,
            preference=preference,
        )
        return look, self._shown(base, ours)

    def _draw(self, times: int, control: Control, *, of_base: bool) -> Samples:
        config = self.config
        return draw_samples(
            self.policy.reference if of_base else self.policy.lm,
            self.policy.reference,
            [prompt.tokens for prompt in self.prompts],
            [("base " if of_base else "") + prompt.id for prompt in self.prompts],
            models=self.models,
            drawing=Drawing(
                config.seed, self.samples * times, config.max_new_tokens, config.temperature
            ),
            step=-1,
            control=control,
        )

    def _as_many(self, texts: Sequence[str]) -> list[str]:
        """As many of the base's texts of each prompt as the policy has."""
        size = self.samples * BASE_SAMPLES
        return [text for place, text in enumerate(texts) if place % size < self.samples]

    def _shown(self, base: Samples, ours: Samples) -> list[SampleRow]:
        size = self.samples
        shown: list[SampleRow] = [
            {
                "step": 0,
                "prompt": prompt.text,
                "before": base.texts[index * size * BASE_SAMPLES],
                "after": ours.texts[index * size],
            }
            for index, prompt in enumerate(self.prompts[:SHOWN])
        ]
        for index, row in enumerate(shown if self.models else []):
            row["score"] = round(float(ours.scores[-1][index * size]), 3)
        return shown
