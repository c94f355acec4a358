"""What an evaluation on closed tasks is told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from training.configs.base import Problems, RunConfig

CLOSED_TASKS = (
    "sentiment",
    "topics",
    "entailment",
    "extraction",
    "questions",
    "summaries",
    "rewriting",
    "texts",
)
"""The data sets that come with the trainer (training/rlhf/closed/sets/)."""

POLICY_NAME = re.compile(r"[A-Za-z0-9_-]{1,20}")
TASK_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, kw_only=True)
class ClosedConfig(RunConfig):
    """Policies beside the base on tasks with known answers: is there an alignment tax?"""

    recipe: ClassVar[str] = "closed"

    policies: list[str] = field(default_factory=list)
    """name=folder each, in the order in which they were trained: sft=…, ppo=…. A folder holds a
    whole model, or an adapter, which lies on the last whole model named before it, or on the base.
    """
    tasks: list[str] = field(default_factory=lambda: list(CLOSED_TASKS))
    """Each is data/<task>.jsonl of the run directory, or else one that comes with the trainer."""
    items: int = 200
    """At most so many of each task, the first of its file."""
    max_new_tokens: int = 48
    max_prompt_tokens: int = 1024
    """Of a prompt, which loses its beginning, and of a text, which loses its end."""
    alpha: float = 0.05
    """Intervals hold 1 − alpha."""
    bootstrap: int = 2000
    batch: int = 32
    """Items at a time."""

    def check(self, problems: Problems) -> None:
        super().check(problems)
        named = [policy.partition("=") for policy in self.policies]
        for policy, (name, _, folder) in zip(self.policies, named, strict=True):
            problems.unless(
                bool(POLICY_NAME.fullmatch(name) and folder),
                f"policies: must be name=folder with a name of letters, digits, - and _, "
                f"is {policy!r}",
            )
        problems.unless(
            _distinct(["base", *(name for name, _, _ in named)]),
            "policies: each needs a name of its own, other than base",
        )
        problems.unless(
            bool(self.tasks)
            and _distinct(self.tasks)
            and all(TASK_NAME.fullmatch(task) for task in self.tasks),
            "tasks: must be different names of letters, digits, - and _, at least one",
        )


def _distinct(names: Sequence[str]) -> bool:
    return len(set(names)) == len(names)
