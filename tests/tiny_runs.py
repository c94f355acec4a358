"""Numbers with which a whole round of the tiny model takes seconds, most of them for processes."""

from __future__ import annotations

from typing import Any

OVERRIDES: dict[str, dict[str, Any]] = {
    "sft": {"epochs": 1, "learning_rate": 1e-5, "threads": 1},
    "reward": {"folds": 3, "finetune": "never", "bootstrap": 100, "threads": 1},
    "ppo": {
        "episodes": 32,
        "prompts_per_batch": 8,
        "samples_per_prompt": 2,
        "evaluate_every": 16,
        "development_samples": 8,
        "threads": 1,
    },
    "evaluate": {"bootstrap": 100, "threads": 1},
}
"""By recipe, over the preset."""
