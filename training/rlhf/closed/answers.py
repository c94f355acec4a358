"""What a model answers: greedily, by the likelihood of the choices, and how it likes a text.

Knows nothing of tables or intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.records import AnswerRow
from training.rlhf.closed import scores
from training.rlhf.closed.tasks import Item, Task
from training.rlhf.encoding import encode_prompt
from training.rlhf.layers import completion_logprobs, make_batch, states_after
from training.rlhf.models import LanguageModel, encode_text
from training.rlhf.process import Control
from training.rlhf.sample import Sampling, complete

Scores = dict[str, float | None]

TOKENS_TOGETHER = 8192
"""Of prompts and texts whose likelihood is computed in one go, padding included."""


@dataclass(frozen=True)
class Answering:
    """A policy at work on closed tasks."""

    lm: LanguageModel
    policy: str
    sampling: Sampling
    control: Control

    def rows(self, task: Task, items: Sequence[Item]) -> list[AnswerRow]:
        """Answers to some items of a task with their scores, in order."""
        found: list[tuple[str, bool, Scores]]
        if task.rule == "text":
            found = [("", True, own) for own in self._texts(items)]
        else:
            rows = complete(
                self.lm,
                [{"id": item.id, "messages": item.prompt} for item in items],
                self.sampling,
                self.policy,
                self.control,
            )
            likelihoods: list[Scores] = [{} for _ in items]
            if task.rule == "choice":
                likelihoods = self._choices(items)
            found = [
                (row["text"], row["finished"], {**_score(task, item, row["text"]), **likely})
                for item, row, likely in zip(items, rows, likelihoods, strict=True)
            ]
        return [
            {
                "policy": self.policy,
                "task": task.name,
                "id": item.id,
                "answer": text,
                "finished": finished,
                "scores": own,
            }
            for item, (text, finished, own) in zip(items, found, strict=True)
        ]

    def _choices(self, items: Sequence[Item]) -> list[Scores]:
        """Whether the likeliest choice is right: as it stands, and per byte (UTF-8) of its text.

        The choice follows the prompt as an answer's beginning: its end is not part of it.
        """
        room = self.sampling.room(self.lm)
        prompts = [encode_prompt(self.lm, item.prompt, room) for item in items]
        choices = [
            [encode_text(self.lm, text)[: self.sampling.max_new_tokens] for text in item.choices]
            for item in items
        ]
        sums = _sums(self.lm, prompts, choices, self.control)
        found: list[Scores] = []
        for item, own in zip(items, sums, strict=True):
            sizes = torch.tensor([len(text.encode()) for text in item.choices])
            found.append(
                {
                    "likelihood": float(int(own.argmax()) == item.right),
                    "likelihood_per_byte": float(int((own / sizes).argmax()) == item.right),
                }
            )
        return found

    def _texts(self, items: Sequence[Item]) -> list[Scores]:
        """Nats that a text costs from its second token on, and the number of those tokens."""
        room = min(self.sampling.max_prompt_tokens, self.lm.max_positions)
        ids = [encode_text(self.lm, item.text)[:room] for item in items]
        sums = _sums(self.lm, [own[:1] for own in ids], [[own[1:]] for own in ids], self.control)
        return [
            {"nats": -float(own[0]), "tokens": float(len(tokens) - 1)}
            for own, tokens in zip(sums, ids, strict=True)
        ]


def _score(task: Task, item: Item, answer: str) -> Scores:
    if task.rule == "choice":
        named = scores.named_choice(answer, item.choices)
        return {
            "accuracy": float(named == item.right),
            "named": None if named is None else float(named),
            "right": float(item.right),
        }
    if task.rule == "exact":
        return {
            "f1": scores.token_f1(answer, item.answers),
            "exact_match": scores.exact_match(answer, item.answers),
        }
    return dict(scores.rouge(answer, item.answers)._asdict())


def _sums(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[Sequence[int]]],
    control: Control,
) -> list[Tensor]:
    """Of each prompt the log-probabilities of its completions, summed over tokens: (c,) float64."""
    found: list[Tensor] = []
    start = 0
    while start < len(prompts):
        control.step_boundary()
        stop = _stop(prompts, completions, start)
        flat: list[Any] = [own for group in completions[start:stop] for own in group]
        owner = [row for row, group in enumerate(completions[start:stop]) for _ in group]
        with torch.no_grad():
            batch = make_batch(lm, prompts[start:stop], flat, owner)
            states = states_after(lm, batch, None, 0)
            sums = completion_logprobs(lm, batch, states).logprobs.double().sum(1).cpu()
        found += torch.split(sums, [len(group) for group in completions[start:stop]])
        start = stop
    return found


def _stop(
    prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[Sequence[int]]], start: int
) -> int:
    """Where the batch that begins at `start` ends, so that it stays within TOKENS_TOGETHER."""
    longest = longest_own = own = 0
    for place in range(start, len(prompts)):
        longest = max(longest, len(prompts[place]))
        longest_own = max(longest_own, *map(len, completions[place]))
        own += len(completions[place])
        tokens = (place + 1 - start) * longest + own * longest_own
        if place > start and tokens > TOKENS_TOGETHER:
            return place
    return len(prompts)
