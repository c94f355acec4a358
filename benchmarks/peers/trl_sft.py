"""TRL's SFT trainer on a given work: `python -m benchmarks.peers.trl_sft WORK.json`.

Prints the seconds of each step. Texts come as token ids with a mask of what is learned.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from benchmarks.peers.trainers import QUIET, Clock, run


def main(work: dict[str, Any]) -> list[float]:
    """Seconds of each step."""
    tokenizer = AutoTokenizer.from_pretrained(work["model"])
    model = AutoModelForCausalLM.from_pretrained(work["model"], dtype=torch.float32)
    lora = None
    if work["lora_rank"]:
        lora = LoraConfig(
            r=work["lora_rank"],
            lora_alpha=2 * work["lora_rank"],
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=work["batch"],
            max_steps=work["steps"],
            learning_rate=1e-5,
            bf16=work["bfloat16"],
            max_length=None,
            completion_only_loss=True,
            packing=False,
            **QUIET,
        )
        trainer = SFTTrainer(
            model=model,
            args=arguments,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(work["texts"]),
            callbacks=[clock],
            peft_config=lora,
        )
        trainer.train()
    return clock.seconds


if __name__ == "__main__":
    run(main)
