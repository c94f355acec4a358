"""A tiny Llama with random weights, for tests and CI: `python -m training.rlhf.tiny_model FOLDER`.

It babbles, mostly lower-case letters, and ends after about 30 of them. It loads in well under a
second, by the same path as any other model. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import math
import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PAD, BOS, EOS = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML, as the default model has it."""

LETTER_BIAS, END_BIAS = 12.0, 11.5
"""Logits, roughly, that letters and the end have over any other byte."""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes and three special tokens: ids 0 to 2 as in the default model, then 256 bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([PAD, BOS, EOS, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in (PAD, BOS, EOS)])
    make: Any = PreTrainedTokenizerFast  # untyped in transformers
    fast: PreTrainedTokenizerFast = make(
        tokenizer_object=tokenizer, pad_token=PAD, bos_token=BOS, eos_token=EOS
    )
    fast.chat_template = TEMPLATE
    return fast


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
    tokenizer = make_tokenizer()
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
