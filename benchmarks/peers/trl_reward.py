"""TRL's reward trainer on pairs: `python -m benchmarks.peers.trl_reward WORK.json`.

Prints the seconds of each step; a step is all pairs of one batch of rankings, in their order.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer

from benchmarks.peers.trainers import QUIET, Clock, run


def main(work: dict[str, Any]) -> list[float]:
    """Seconds of each step."""
    tokenizer = AutoTokenizer.from_pretrained(work["model"])
    model = AutoModelForSequenceClassification.from_pretrained(
        work["model"], num_labels=1, dtype=torch.float32, pad_token_id=tokenizer.pad_token_id
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = RewardConfig(
            output_dir=folder,
            per_device_train_batch_size=work["pairs_per_step"],
            max_steps=work["steps"],
            learning_rate=1e-5,
            bf16=work["bfloat16"],
            max_length=None,
            **QUIET,
        )
        trainer = RewardTrainer(
            model=model,
            args=arguments,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(work["pairs"]),
            callbacks=[clock],
        )
        trainer.train()
    return clock.seconds


if __name__ == "__main__":
    run(main)
