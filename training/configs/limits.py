"""Between what each number of a config lies, by its name: one name means one thing in all recipes.

Standard library only. What has to hold between several fields stands in each config's `check`.
The upper ends keep out what nobody means: what would fill a disk or a memory, or end in NaN.
"""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Both ends are allowed, but for `low` where the number has to be above it."""

    low: float
    high: float
    above: bool = False

    def hold(self, value: float) -> bool:
        """NaN and infinities are beyond every limit."""
        reaches = value > self.low if self.above else value >= self.low
        return reaches and value <= self.high

    def __str__(self) -> str:
        if self.above:
            return f"above {self.low:,} and at most {self.high:,}"
        return f"{self.low:,} to {self.high:,}"


def above_zero(high: float) -> Limits:
    """A number that is not 0 and has no sign."""
    return Limits(0, high, above=True)


SHARE = Limits(0, 1)
MOST_TOKENS = 1_048_576
MOST_ROWS = 65_536
MOST_STEPS = 1_000_000_000
FEWEST_TOKENS = 259
"""The vocabulary of a byte-level tokenizer at least: 256 bytes and three control tokens."""
BELOW_ONE = 0.999999

LIMITS: dict[str, Limits] = {
    # The machine, and chance.
    "threads": Limits(0, 1024),  # more than any machine has cores
    "seed": Limits(0, 2**63 - 1),
    # How much is done.
    "batch": Limits(1, MOST_ROWS),
    "best_of": Limits(0, 1024),
    "bootstrap": Limits(1, 100_000),
    "development_samples": Limits(1, MOST_ROWS),
    "episodes": Limits(1, MOST_STEPS),
    "epochs": Limits(1, 1000),
    "evaluate_every": Limits(1, MOST_STEPS),
    "folds": Limits(3, 20),
    "items": Limits(1, 1_000_000),
    "look": Limits(1, 1_000_000),
    "minibatches": Limits(1, MOST_ROWS),
    "prompts": Limits(1, 1_000_000),
    "prompts_per_batch": Limits(1, MOST_ROWS),
    "samples_per_prompt": Limits(1, 1024),
    "save_every": Limits(1, MOST_STEPS),
    "validation_share": Limits(0, 0.9),
    # Texts.
    "max_new_tokens": Limits(1, MOST_TOKENS),
    "max_prompt_tokens": Limits(1, MOST_TOKENS),
    "max_tokens": Limits(1, MOST_TOKENS),
    "mixture_temperature": above_zero(1_000_000_000),
    "temperature": above_zero(100),
    # What learns, and how fast.
    "adam_beta2": Limits(0, BELOW_ONE),
    "adam_epsilon": above_zero(0.1),
    "ema": Limits(0, BELOW_ONE, above=True),
    "gradient_clip": above_zero(1_000_000_000),
    "learning_rate": above_zero(1),
    "lora_rank": Limits(0, 4096),
    "lora_scale": above_zero(1000),
    "lora_top_share": Limits(0.01, 1),
    "warmup_share": SHARE,
    "warmup_steps": Limits(0, MOST_STEPS),
    "weight_decay": Limits(0, 10),
    # Rewards, advantages, and the way from the base.
    "beta": above_zero(1000),
    "caution": Limits(0, 10),
    "clip": above_zero(1000),
    "distinct_share": SHARE,
    "entropy_coefficient": Limits(0, 1000),
    "gae_lambda": SHARE,
    "gamma": SHARE,
    "grade_margin": Limits(0, 100),
    "kl_coefficient": Limits(0, 1000),
    "kl_limit": above_zero(1_000_000),
    "kl_step": above_zero(1_000_000),
    "kl_target": above_zero(1_000_000),
    "label_smoothing": Limits(0, 0.49),
    "missing_eos_min_share": SHARE,
    "missing_eos_penalty": Limits(0, 1000),
    "ptx_coefficient": Limits(0, 10_000),
    "ptx_texts_per_episode": above_zero(1000),
    "update_kl_limit": above_zero(1000),
    "value_clip": above_zero(1_000_000),
    "value_coefficient": Limits(0, 1000),
    # Statistics.
    "alpha": Limits(1e-6, 0.5),
    # An architecture from scratch.
    "context": Limits(2, MOST_TOKENS),
    "heads": Limits(1, 1024),
    "hidden": Limits(2, 65_536),
    "intermediate": Limits(0, 1_000_000),
    "kv_heads": Limits(1, 1024),
    "layers": Limits(1, 1000),
    "vocabulary": Limits(FEWEST_TOKENS, 1_000_000),
    "window": Limits(2, MOST_TOKENS),
}
