"""The recipe `evaluate`: is the candidate better? `python -m training.rlhf.evaluate RUN_DIR`.

One sample per evaluation prompt from the candidate, from what is deployed and from the base, at the
same temperature, compared by a judge that never gave a reward. Or, before any policy is trained:
the best of n of the base's samples by a reward model, against one more sample of the base.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from training.configs import EvaluateConfig
from training.records import EvaluationRow, SampleRow
from training.rlhf.bootstrap import best_of_wins, look_alpha, ratio_interval, wins
from training.rlhf.conversations import room_for_prompt
from training.rlhf.durable import RunError
from training.rlhf.groups import sums_by_group
from training.rlhf.looks import SHOWN, Drawing, draw_samples
from training.rlhf.models import LanguageModel, load_language_model
from training.rlhf.policies import load_policy
from training.rlhf.precision import choose_compute
from training.rlhf.process import Control, run_recipe
from training.rlhf.prompts import Prompt, read_prompts
from training.rlhf.randomness import shuffled
from training.rlhf.reward_model import RewardModel, load_reward_model
from training.rlhf.rundir import ResultMetrics, RunDirectory
from training.rlhf.texts import distinct, mean_words

Sample = dict[str, Any]
"""One policy's text for one prompt: text, finished, tokens, kl, score (None: no judge), reward.

Of a best-of-n candidate also win: how often it beats one more sample (`best_of_wins`)."""
Row = dict[str, Sample]
"""One prompt's samples by the policy's part: candidate, base, and deployed where there is one."""

MATCHED_SHARE = 0.2
"""Texts are of about the same length where they differ by at most this share of the longer one."""
FEWEST_MATCHED = 10
"""Prompts with fewer than this of them give no win rate at matched length."""


def main(directory: RunDirectory, control: Control) -> ResultMetrics:
    """Compare policies on the evaluation prompts; evaluation.jsonl gets a row for each prompt."""
    config = directory.config
    if not isinstance(config, EvaluateConfig):
        raise TypeError(type(config).__name__)
    compute = choose_compute(directory)

    # 1. The base, who judges, and what is compared with what.
    base = load_language_model(config.base, device=compute.device, precision=compute.precision)
    judge = None if config.judge is None else load_reward_model(config.judge, base)
    former = None
    if config.deployed_base is not None:
        former = load_language_model(
            config.deployed_base, device=compute.device, precision=compute.precision
        )
    draw = _Draw(config, base, judge, control, former)

    # 2. The evaluation prompts: a choice that is fixed by the seed.
    room = room_for_prompt(base, most=config.max_prompt_tokens, new_tokens=config.max_new_tokens)
    found = read_prompts(directory, base, "evaluation", room)
    if not found:
        raise RunError("data_missing", file="data/prompts.jsonl")
    order = shuffled(len(found), config.seed, "evaluation")[: config.prompts]
    prompts = [found[index] for index in order]

    # 3. Samples and scores, some prompts at a time.
    state = directory.load_state()
    rows: list[Row] = list(state.values["rows"]) if state else []
    size = max(1, config.batch // (config.best_of + 1))
    total = -(-len(prompts) // size)
    for number in range(state.step if state else 0, total):
        chosen = prompts[number * size : (number + 1) * size]
        fresh = draw.rows(chosen)
        shown = list(zip(chosen, fresh, strict=True))[: max(0, SHOWN - len(rows))]
        directory.log_samples([sample_row(number + 1, *pair) for pair in shown])
        rows += fresh
        directory.append_rows(
            "evaluation",
            [evaluation_row(*pair) for pair in zip(chosen, fresh, strict=True)],
        )
        directory.log_metrics(number + 1, total, prompts=len(rows))
        directory.save_state(number + 1, {}, {"rows": rows})

    # 4. Win rates with intervals over groups of prompts, and what else the gate looks at.
    groups = [prompt.group for prompt in prompts]
    counts: ResultMetrics = {
        "prompts": len(rows),
        "prompts_cut": sum(prompt.cut for prompt in prompts),
    }
    if config.best_of:
        won = [row["candidate"]["win"] for row in rows]
        return {**counts, **interval_metrics("best_of_win", won, groups, config)}
    over = "deployed" if "deployed" in rows[0] else "base"
    return {
        **counts,
        **win_rate("win", over, rows, groups, config),
        **win_rate("base_win", "base", rows, groups, config),
        **matched_win_rate("base_win_matched", "base", rows, groups, config),
        **part_metrics("candidate", rows, ""),
        **part_metrics("base", rows, "base_"),
        **(part_metrics("deployed", rows, "deployed_") if over == "deployed" else {}),
    }


@dataclass(frozen=True)
class _Draw:
    """Samples of every policy for some prompts."""

    config: EvaluateConfig
    base: LanguageModel
    judge: RewardModel | None
    control: Control
    deployed_base: LanguageModel | None
    """The deployed adapter's base where it is another one."""

    def rows(self, prompts: Sequence[Prompt]) -> list[Row]:
        """A row for each prompt."""
        parts = self._best_of(prompts) if self.config.best_of else self._policies(prompts)
        return [
            {name: samples[index] for name, samples in parts.items()}
            for index in range(len(prompts))
        ]

    def _policies(self, prompts: Sequence[Prompt]) -> dict[str, list[Sample]]:
        """A sample of each policy for each prompt."""
        config = self.config
        parts = {
            "base": self._samples(prompts, None, "base"),
            "candidate": self._samples(prompts, config.candidate, "candidate"),
        }
        if config.deployed is not None:
            parts["deployed"] = self._samples(
                prompts, config.deployed, "deployed", self.deployed_base
            )
        return parts

    def _samples(
        self,
        prompts: Sequence[Prompt],
        folder: str | None,
        part: str,
        base: LanguageModel | None = None,
    ) -> list[Sample]:
        judges = [] if self.judge is None else [self.judge]
        return self._draw(prompts, load_policy(base or self.base, folder), part, judges, 1)

    def _best_of(self, prompts: Sequence[Prompt]) -> dict[str, list[Sample]]:
        """Of `best_of` samples of the base the one that the reward model likes best; and one more.

        All are drawn together: few rows at a time would cost nearly as much as many.
        """
        if self.config.reward is None or self.judge is None:
            raise ValueError("best of n needs a reward model and a judge")
        reward = load_reward_model(self.config.reward, self.base)
        count = self.config.best_of + 1
        found = self._draw(prompts, self.base, "base", [self.judge, reward], count)
        groups = [found[index * count : (index + 1) * count] for index in range(len(prompts))]
        won = best_of_wins(
            [[sample["reward"] for sample in group] for group in groups],
            [[sample["score"] for sample in group] for group in groups],
        )
        best = [max(group[1:], key=lambda sample: sample["reward"]) for group in groups]
        return {
            "base": [group[0] for group in groups],
            "candidate": [
                {**sample, "win": float(win)} for sample, win in zip(best, won, strict=True)
            ],
        }

    def _draw(
        self,
        prompts: Sequence[Prompt],
        policy: LanguageModel,
        part: str,
        models: Sequence[RewardModel],
        samples: int,
    ) -> list[Sample]:
        config = self.config
        found = draw_samples(
            policy,
            self.base,
            [prompt.tokens for prompt in prompts],
            [f"{part} {prompt.id}" for prompt in prompts],
            models=models,
            drawing=Drawing(
                config.seed, samples, config.max_new_tokens, config.temperature, config.batch
            ),
            step=0,
            control=self.control,
        )
        scores = found.scores.tolist()
        return [
            {
                "text": text,
                "finished": bool(found.finished[index]),
                "tokens": int(found.lengths[index]),
                "kl": float(found.kl[index]),
                "score": scores[0][index] if scores else None,
                "reward": scores[-1][index] if scores else None,
            }
            for index, text in enumerate(found.texts)
        ]


def evaluation_row(prompt: Prompt, row: Row) -> EvaluationRow:
    """What the web shows of one prompt: the texts side by side."""
    deployed = row.get("deployed")
    return {
        "id": prompt.id,
        "prompt": prompt.id,
        "candidate": row["candidate"]["text"],
        "deployed": None if deployed is None else deployed["text"],
        "base": row["base"]["text"],
        "candidate_score": row["candidate"]["score"],
        "deployed_score": None if deployed is None else deployed["score"],
        "base_score": row["base"]["score"],
        "candidate_finished": row["candidate"]["finished"],
        "base_finished": row["base"]["finished"],
    }


def sample_row(step: int, prompt: Prompt, row: Row) -> SampleRow:
    """One prompt for people to read: what the candidate was compared with, and the candidate's."""
    shown: SampleRow = {
        "step": step,
        "prompt": prompt.text,
        "before": row.get("deployed", row["base"])["text"],
        "after": row["candidate"]["text"],
    }
    if row["candidate"]["score"] is not None:
        shown["score"] = round(row["candidate"]["score"], 3)
    return shown


def win_rate(
    name: str, over: str, rows: Sequence[Row], groups: Sequence[str], config: EvaluateConfig
) -> ResultMetrics:
    """`name`_rate, _low and _high of the candidate over another part; None without a judge.

    One comparison a prompt, ties one half. groups: of each row's prompt. See `interval_metrics`.
    """
    ours = [row["candidate"]["score"] for row in rows]
    theirs = [row[over]["score"] for row in rows]
    won = None if None in ours or None in theirs else wins(ours, theirs)
    return interval_metrics(name, won, groups, config)


def matched_win_rate(
    name: str, over: str, rows: Sequence[Row], groups: Sequence[str], config: EvaluateConfig
) -> ResultMetrics:
    """`win_rate` where the two texts are of about the same length, and `name`_prompts: how many.

    A judge that only likes long texts shows here. None with fewer than FEWEST_MATCHED prompts.
    """
    matched = [
        number for number, row in enumerate(rows) if _same_length(row["candidate"], row[over])
    ]
    known = len(matched) >= FEWEST_MATCHED
    chosen, own = [rows[number] for number in matched], [groups[number] for number in matched]
    found = (
        win_rate(name, over, chosen, own, config)
        if known
        else interval_metrics(name, None, own, config)
    )
    return {**found, f"{name}_prompts": len(matched)}


def _same_length(ours: Sample, theirs: Sample) -> bool:
    longer = max(ours["tokens"], theirs["tokens"])
    return bool(abs(ours["tokens"] - theirs["tokens"]) <= MATCHED_SHARE * longer)


def interval_metrics(
    name: str, won: ArrayLike | None, groups: Sequence[str], config: EvaluateConfig
) -> ResultMetrics:
    """`name`_rate, _low and _high, its 95 % interval, and _sure, what a decision may rest on.

    That is the lower end of the interval at the level of the project's k-th look. won: (prompts,)
    share of comparisons won; None: unknown.
    """
    if won is None:
        return {f"{name}_{part}": None for part in ("rate", "low", "high", "sure")}
    sums = sums_by_group(groups, won, np.ones(len(groups)))
    shown, deciding = (
        ratio_interval(*sums, draws=config.bootstrap, seed=config.seed, alpha=alpha)
        for alpha in (0.05, look_alpha(config.alpha, config.look))
    )
    return {
        f"{name}_rate": shown.value,
        f"{name}_low": shown.low,
        f"{name}_high": shown.high,
        f"{name}_sure": deciding.low,
    }


def part_metrics(part: str, rows: Sequence[Row], prefix: str) -> ResultMetrics:
    """Means over one policy's samples. length in tokens, kl in nats a completion to the base."""
    samples = [row[part] for row in rows]
    texts = [sample["text"] for sample in samples]

    def mean(key: str) -> float:
        return sum(float(sample[key]) for sample in samples) / len(samples)

    return {
        f"{prefix}kl": mean("kl"),
        f"{prefix}length": mean("tokens"),
        f"{prefix}words": mean_words(texts),
        f"{prefix}distinct2": distinct(texts),
        f"{prefix}finished_share": mean("finished"),
        f"{prefix}score": None if samples[0]["score"] is None else mean("score"),
    }


if __name__ == "__main__":
    sys.exit(run_recipe(main, "evaluate"))
