"""A model that knows nothing yet: a Llama of a given shape and a tokenizer trained on texts.

Written as a folder, so that it is loaded like any other base. Knows nothing of training.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from training.configs import PretrainConfig
from training.rlhf.durable import disk_errors, sync_folder, write_manifest
from training.rlhf.randomness import generator
from training.rlhf.tokenizer import trained_tokenizer


def scratch_model(folder: Path, config: PretrainConfig, texts: Iterable[str]) -> Path:
    """Write the model into `folder`, whole or not at all; returns it. One that is there stays.

    The same config and texts give the same bytes.
    """
    if (folder / "manifest.json").is_file():
        return folder
    new = folder.with_name(f".{folder.name}.new")
    with disk_errors(folder):
        for path in (new, folder):
            shutil.rmtree(path, ignore_errors=True)
        tokenizer = trained_tokenizer(texts, config.vocabulary)
        shape = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden,
            intermediate_size=config.gated_width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.context,
            initializer_range=1 / math.sqrt(config.hidden),
            tie_word_embeddings=config.tied,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(config.seed, "pretrain").initial_seed())
            model = LlamaForCausalLM(shape)
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
        write_manifest(new)
        new.rename(folder)
        sync_folder(folder.parent)
    return folder
