"""What sampling is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from training.configs.base import RunConfig


@dataclass(frozen=True, kw_only=True)
class SampleConfig(RunConfig):
    """Completions for the prompts of data/prompts.jsonl, as a batch run or behind --serve."""

    recipe: ClassVar[str] = "sample"

    adapter: str | None = None
    samples_per_prompt: int = 4
    max_new_tokens: int = 64
    temperature: float = 1.0
    max_prompt_tokens: int = 1024
    batch: int = 64
