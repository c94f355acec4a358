"""TRL's PPO on a given work: `python -m benchmarks.peers.trl_ppo WORK.json` prints seconds a batch.

The value model's trunk is frozen, as ours is, so that both sides train alike.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer

from benchmarks.peers.trainers import QUIET, Clock, run

MATRICES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""All of a layer: PEFT takes layers by number only where the matrices are named."""


def main(work: dict[str, Any]) -> list[float]:
    """Seconds of each batch after the first."""
    tokenizer = AutoTokenizer.from_pretrained(work["model"], padding_side="left")
    dtype = torch.float32
    policy = AutoModelForCausalLM.from_pretrained(work["model"], dtype=dtype)
    scoring = {"num_labels": 1, "dtype": dtype, "pad_token_id": tokenizer.pad_token_id}
    reward, value = (
        AutoModelForSequenceClassification.from_pretrained(work["model"], **scoring)
        for _ in range(2)
    )
    value.model.requires_grad_(False)
    lora = None
    if work["lora_rank"]:
        lora = LoraConfig(
            r=work["lora_rank"],
            lora_alpha=2 * work["lora_rank"],
            target_modules=MATRICES,
            layers_to_transform=work["layers"],
            task_type="CAUSAL_LM",
        )
    reference = None
    if lora is None:
        reference = AutoModelForCausalLM.from_pretrained(work["model"], dtype=dtype)
    prompts = Dataset.from_dict({"input_ids": work["prompts"]})
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = PPOConfig(
            output_dir=folder,
            per_device_train_batch_size=work["batch"],
            gradient_accumulation_steps=1,
            num_mini_batches=1,
            num_ppo_epochs=work["epochs"],
            total_episodes=work["batch"] * work["batches"],
            response_length=work["new_tokens"],
            local_rollout_forward_batch_size=work["batch"],
            num_sample_generations=0,
            temperature=1.0,
            learning_rate=work["learning_rate"],
            bf16=work["bfloat16"],
            **QUIET,
        )
        trainer = PPOTrainer(
            args=arguments,
            processing_class=tokenizer,
            model=policy,
            ref_model=reference,
            reward_model=reward,
            value_model=value,
            train_dataset=prompts,
            eval_dataset=prompts,
            callbacks=[clock],
            peft_config=lora,
        )
        trainer.train()
    return clock.seconds


if __name__ == "__main__":
    run(main)
