"""A tiny Llama with random weights, for tests and CI: `python -m training.rlhf.tiny_model FOLDER`.

It babbles, mostly lower-case letters, and ends after about 30 of them. It loads in well under a
second, by the same path as any other model. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import math
import string
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training.rlhf.tokenizer import byte_tokenizer

LETTER_BIAS, END_BIAS = 12.0, 11.5
"""Logits, roughly, that letters and the end have over any other byte."""


def make_model(
    tokenizer: PreTrainedTokenizerFast, *, seed: int = 0, layers: int = 4, hidden: int = 64
) -> LlamaForCausalLM:
    """Random weights, but that letters, spaces and the end are likelier than other bytes."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.1,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    likely = torch.zeros(len(tokenizer))
    likely[tokenizer.convert_tokens_to_ids([*string.ascii_lowercase, "Ġ"])] = LETTER_BIAS
    likely[tokenizer.eos_token_id] = END_BIAS
    # Every embedding has a large part along one direction, which the head reads as a bias.
    direction = torch.full((hidden,), 1 / math.sqrt(hidden))
    with torch.no_grad():
        embeddings = model.model.embed_tokens.weight
        embeddings += 4 * embeddings.std() * math.sqrt(hidden) * direction
        model.lm_head.weight += likely[:, None] * direction / math.sqrt(hidden)
    model.train(False)
    return model


def write_tiny_model(folder: Path, *, seed: int = 0, layers: int = 4, hidden: int = 64) -> Path:
    """Make the model and save it with its tokenizer. Returns the folder."""
    tokenizer = byte_tokenizer()
    make_model(tokenizer, seed=seed, layers=layers, hidden=hidden).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a tiny random Llama for tests.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write_tiny_model(arguments.folder, seed=arguments.seed)


if __name__ == "__main__":
    main()
