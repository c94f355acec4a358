"""Fine-tuning a reward model on rankings, K-wise: all pairs of one prompt in one batch element.

Scores are an offset that stays (what a probe says of each completion) plus a linear head on the
last token's state of a model that learns. Knows nothing of how the offsets came about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.configs import RewardConfig
from training.rlhf.encoding import encode_group
from training.rlhf.losses import ranking_loss
from training.rlhf.models import LanguageModel, add_lora, load_language_model, unfreeze
from training.rlhf.optimiser import Optimiser
from training.rlhf.precision import Precision
from training.rlhf.process import Control
from training.rlhf.randomness import generator, shuffled
from training.rlhf.ranked import RankedRows, step_of
from training.rlhf.ranking_tables import (
    by_prompt,
    put_together,
    ranking_table,
    rows_of,
    weight_of,
)
from training.rlhf.rankings import Rankings
from training.rlhf.reward_model import last_scores
from training.rlhf.schedules import cosine


def tuning_steps(config: RewardConfig, prompts: int) -> int:
    """Steps of a fine-tuning on the rankings of so many prompts."""
    return config.epochs * math.ceil(prompts / config.batch)


class StepStats(NamedTuple):
    """loss: nats a pair. accuracy: of the batch's pairs, before the step."""

    loss: float
    accuracy: float
    gradient_norm: float
    learning_rate: float


class RewardTuning:
    """A trainable copy of the base (LoRA, or all weights) with a head, and its optimiser."""

    def __init__(
        self,
        base: LanguageModel,
        config: RewardConfig,
        data: RankedRows,
        offsets: Tensor | None,
        *,
        chosen: Sequence[int],
        key: str,
        unit: float = 1.0,
    ) -> None:
        """offsets: (rows,) log-odds, None: no probe. chosen: numbers of the rankings to learn.

        unit: of the rankings' worth, in log-odds.
        """
        self.unit = unit
        self.config, self.data, self.key = config, data, key
        self.offsets = torch.zeros(len(data.rows)) if offsets is None else offsets.float()
        self.offsets = self.offsets.to(base.device)
        self.lm = _trainable(base, config, key)
        head = torch.zeros(base.width)
        if offsets is None:
            # [O] and [S]: standard deviation 1/√(d + 1); beside a probe the head starts at nothing.
            head.normal_(0, 1 / math.sqrt(base.width + 1), generator=generator(config.seed, key))
        self.head = nn.Parameter(head.to(base.device))
        self.optimiser = Optimiser(
            {"head": self.head, **{f"lm.{n}": p for n, p in self.lm.trainable().items()}},
            learning_rate=config.learning_rate,
            beta2=0.95,
            clip=config.gradient_clip,
            weight_decay=config.weight_decay,
        )
        self.prompts = by_prompt(data.rankings, chosen)

    @property
    def steps(self) -> int:
        """Steps of all epochs together."""
        return tuning_steps(self.config, len(self.prompts))

    def step(self, number: int, control: Control, *, before: int = 0) -> StepStats:
        """Step `number`, counted from 0, on its share of its epoch's order of prompts.

        before: steps of the run ahead of it. Stopped in the middle, it has changed nothing.
        """
        per_epoch = math.ceil(len(self.prompts) / self.config.batch)
        epoch, place = divmod(number, per_epoch)
        order = shuffled(len(self.prompts), self.config.seed, self.key, epoch)
        batch = order[place * self.config.batch : (place + 1) * self.config.batch]
        groups = [self.prompts[index] for index in batch]
        rankings = self.data.rankings.subset([n for own in groups for n in own])
        total = weight_of(rankings)
        loss, right, pairs = 0.0, 0.0, 0
        for part in put_together(self.data.rankings, groups):
            control.step_boundary()
            own = self.data.rankings.subset(part)
            scores, rows = self._scores(own)
            table = ranking_table(own, rows, self.lm.device)
            value, stats = ranking_loss(
                scores[table.places],
                table.ranks,
                table.mask,
                table.weights,
                places=table.places,
                worth=table.worth * self.unit,
                smoothing=self.config.label_smoothing,
            )
            share = weight_of(own) / max(total, 1e-12)
            (value * share).backward()  # type: ignore[no-untyped-call]  # torch types it so
            loss += float(value.detach()) * share
            right, pairs = right + stats.accuracy * stats.pairs, pairs + stats.pairs
        step = step_of(before + number + 1, self.data, groups)
        step.check(loss=loss)
        norm = self.optimiser.step(cosine(number, total=self.steps), at=step)
        return StepStats(loss, right / max(pairs, 1), norm, self.optimiser.rate)

    def scores(self, chosen: Sequence[int]) -> Tensor:
        """(rows,) log-odds of the rows that the rankings `chosen` name, 0 elsewhere; on the CPU."""
        found = torch.zeros(len(self.data.rows))
        with torch.no_grad():
            groups = [[number] for number in chosen]
            for part in put_together(self.data.rankings, groups):
                scores, rows = self._scores(self.data.rankings.subset(part))
                found[rows] = scores.cpu()
        return found

    def _scores(self, rankings: Rankings) -> tuple[Tensor, list[int]]:
        """Scores of the rows that these rankings name, each once, and which rows they are."""
        rows = rows_of(rankings)
        batch = encode_group(self.lm, [self.data.rows[row] for row in rows], self.config.max_tokens)
        return last_scores(self.lm, self.head, batch) + self.offsets[rows], rows

    def tensors(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        return self.optimiser.tensors("tuning.")

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` gave."""
        self.optimiser.load(tensors, "tuning.")


def _trainable(base: LanguageModel, config: RewardConfig, key: str) -> LanguageModel:
    if config.lora_rank:
        return add_lora(
            base,
            config.lora_rank,
            config.lora_scale,
            config.lora_top_share,
            generator(config.seed, key, "lora"),
        )
    precision: Precision = "bfloat16" if base.dtype == torch.bfloat16 else "float32"
    own = load_language_model(base.path, device=str(base.device), precision=precision)
    unfreeze(own)
    return own
