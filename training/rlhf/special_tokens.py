"""Which tokens end a text and fill a batch, also where a tokenizer does not say.

Knows a tokenizer and what a model's configuration names; nothing of weights or texts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.rlhf.durable import RunError

USUAL_ENDS = ("<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "</s>", "<eos>")
"""Names that tokens which end a text go by, most telling first."""
NUL_TOKENS = ("Ā", "<0x00>")
"""The byte 0 in byte-level and in byte-fallback vocabularies: no stored text holds it."""

logger = logging.getLogger(__name__)


def end_ids(tokenizer: Any, configured: Sequence[int | None], folder: Path) -> tuple[int, ...]:
    """The tokenizer's EOS first, then others that the generation config ends at.

    Where neither names one, a token with a usual name is taken, and that is said in the log; the
    tokenizer then knows it as well. Raises RunError("model_unsupported") where there is none.
    """
    named = [tokenizer.eos_token_id, *configured]
    ids = tuple(dict.fromkeys(int(item) for item in named if item is not None))
    if not ids:
        vocabulary = tokenizer.get_vocab()
        ids = tuple(vocabulary[name] for name in USUAL_ENDS if name in vocabulary)[:1]
        if not ids:
            problem = "no token ends a text: give the tokenizer an eos_token"
            raise RunError("model_unsupported", path=str(folder), architecture=problem)
        logger.warning(
            "the tokenizer has no EOS; %s is used", tokenizer.convert_ids_to_tokens(ids[0])
        )
    if tokenizer.eos_token_id is None:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ids[0])
    return ids


def pad_id(tokenizer: Any, eos_ids: Sequence[int], rows: int, folder: Path) -> int:
    """The tokenizer's PAD where it isn't EOS, else an unused special token, else one of no text.

    rows: of the model's output matrix. Masks hide padding everywhere; but what reads the last token
    that isn't PAD must never meet it in a text. So without a free special token it is a row that
    the tokenizer doesn't know, or the byte NUL, and the log says so. Raises
    RunError("model_unsupported") where there is none of them.
    """
    used = {*eos_ids, tokenizer.bos_token_id}
    specials = [key for key, token in tokenizer.added_tokens_decoder.items() if token.special]
    for candidate in [tokenizer.pad_token_id, *sorted(specials), tokenizer.unk_token_id]:
        if candidate is not None and candidate not in used:
            return int(candidate)
    vocabulary = tokenizer.get_vocab()
    first_free = 1 + max(vocabulary.values())
    others = [first_free] if first_free < rows else []
    others += [vocabulary[name] for name in NUL_TOKENS if name in vocabulary]
    if not others:
        problem = "no special token is free for padding: give the tokenizer a pad_token"
        raise RunError("model_unsupported", path=str(folder), architecture=problem)
    logger.warning("the tokenizer has no token for padding; id %d, of no text, is used", others[0])
    return int(others[0])
