"""A language model on one device: weights, tokenizer, adapter; loading, saving, chat templates.

Token ids in and out. Knows nothing of runs, rewards or sampling; safetensors only, no remote code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from training.records import Message
from training.rlhf.adapters import SETTINGS, Adapter, read_adapter, write_adapter
from training.rlhf.blocks import PROJECTIONS, Block, fuse_layer
from training.rlhf.durable import (
    RunError,
    disk_errors,
    file_sha256,
    verify_manifest,
    write_atomically,
)
from training.rlhf.precision import Precision
from training.rlhf.special_tokens import end_ids, pad_id
from training.rlhf.spelling import Spelling, spelling_of

SUPPORTED = ("llama", "mistral", "qwen2", "qwen3")
"""model_type values whose layers blocks.py computes; each is tested against transformers."""

FETCHED = ["*.safetensors", "*.json", "*.txt", "*.jinja"]
"""Of a hub model: weights, settings, vocabulary, and the chat template where it is a file of its
own: without it a model would be talked to in a form that it has never seen."""

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
"""For a base model without a chat template."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A base and perhaps an adapter on it. Copies made by with_adapter() share the base's weights.

    `model` (transformers) is the base alone; go through layers.py to have the adapter take part.
    """

    model: Any
    tokenizer: Any
    blocks: tuple[Block, ...]
    pad_id: int
    """A special token that no text ends with or contains: never EOS."""
    eos_ids: tuple[int, ...]
    sha256: str
    """Identity of the base: a hash over the names and contents of its weights."""
    path: str
    """Where the base came from, as the config names it."""
    device: torch.device
    dtype: torch.dtype
    """Of frozen matrices; the residual stream and LoRA are float32."""
    adapter: Adapter | None = None

    @property
    def spelling(self) -> Spelling:
        """What stands in each token's text: a reward probe's business, so not read at loading."""
        return spelling_of(self.tokenizer, len(self.head))

    @property
    def has_plain_template(self) -> bool:
        """Whether the model came without a chat template of its own."""
        return bool(self.tokenizer.chat_template == PLAIN_TEMPLATE)

    @property
    def layers(self) -> int:
        """How many decoder layers."""
        return len(self.blocks)

    @property
    def width(self) -> int:
        """d: the residual stream's width."""
        return int(self.model.config.hidden_size)

    @property
    def head(self) -> nn.Parameter:
        """The output matrix [vocabulary, d]; the embeddings themselves where they are tied."""
        return cast(nn.Parameter, self.model.lm_head.weight)

    @property
    def max_positions(self) -> int:
        """The longest sequence that the model was made for."""
        return int(self.model.config.max_position_embeddings)

    def with_adapter(self, adapter: Adapter | None) -> LanguageModel:
        """The same base with another adapter, or with none: PPO's reference."""
        return dataclasses.replace(self, adapter=adapter)

    def layer_at(self, depth: float) -> int:
        """The layer count at a depth given as a share of all: 1/3 of 30 is 10; at least 1."""
        return max(1, round(depth * self.layers))

    def trainable(self) -> dict[str, nn.Parameter]:
        """Parameters that training changes, by name: the adapter's, or after unfreeze() all."""
        named = self.adapter.named_parameters() if self.adapter else base_parameters(self).items()
        return {name: parameter for name, parameter in named if parameter.requires_grad}


def load_language_model(
    path: str | Path, *, device: str, precision: Precision, adapter: str | Path | None = None
) -> LanguageModel:
    """Load a base (a folder or a hub name), frozen, and the adapter at `adapter` onto it.

    An `adapter` that is a whole model's folder (full fine-tuning) takes the base's place.
    Raises RunError: model_not_found, model_unsupported, checkpoint_corrupt, checkpoint_mismatch.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # theirs
    if adapter is not None and not (Path(adapter) / SETTINGS).is_file():
        path, adapter = adapter, None
    folder = _find(path)
    _check_supported(folder)
    verify_manifest(folder)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    model, tokenizer = _load_whole(folder, dtype)
    model = model.to(device).eval().requires_grad_(False)
    if not tokenizer.chat_template:
        logger.warning("%s has no chat template; a plain one is used: 'user: …'", folder.name)
        tokenizer.chat_template = PLAIN_TEMPLATE
    ends = getattr(model.generation_config, "eos_token_id", None)
    eos_ids = end_ids(tokenizer, ends if isinstance(ends, list) else [ends], folder)
    language_model = LanguageModel(
        model=model,
        tokenizer=tokenizer,
        blocks=tuple(fuse_layer(layer, model.config) for layer in model.model.layers),
        pad_id=pad_id(tokenizer, eos_ids, len(model.lm_head.weight), folder),
        eos_ids=eos_ids,
        sha256=base_sha256(folder),
        path=str(path),
        device=torch.device(device),
        dtype=dtype,
    )
    if adapter is None:
        return language_model
    return language_model.with_adapter(load_adapter(language_model, adapter))


def _load_whole(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """transformers' model and tokenizer. Raises RunError("checkpoint_corrupt").

    A weight that is missing or does not fit is an error: transformers would make one up.
    """
    try:
        # Where nothing is said of remote code, transformers may ask at the terminal: our pipe.
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model, loaded = cast(
            Any,
            AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _not_whole(folder, str(error)) from error
    misfits = {name for name, *_shapes in loaded["mismatched_keys"]}
    if made_up := sorted(loaded["missing_keys"] | misfits):
        raise _not_whole(folder, f"no fitting weights for {', '.join(made_up[:3])}")
    return model, tokenizer


def _not_whole(folder: Path, found: str) -> RunError:
    return RunError(
        "checkpoint_corrupt", path=str(folder), expected="a whole model", found=found[:500]
    )


def load_adapter(lm: LanguageModel, folder: str | Path) -> Adapter:
    """Read an adapter for this base, frozen. See `read_adapter` for its errors."""
    return read_adapter(Path(folder), lm.blocks)


def add_lora(
    lm: LanguageModel, rank: int, scale: float, top_share: float, generator: torch.Generator
) -> LanguageModel:
    """A new trainable adapter that adds nothing yet, on all matrices of the top layers.

    scale: LoRA's α / r. top_share: the share of the layers, counted from the top; at least one.
    """
    first = lm.layers - max(1, round(top_share * lm.layers))
    adapter = Adapter(lm.blocks, rank, scale, first)
    adapter.reset(generator)
    return lm.with_adapter(adapter)


def unfreeze(lm: LanguageModel) -> None:
    """Full fine-tuning: every weight of the base becomes trainable, in place."""
    for parameter in base_parameters(lm).values():
        parameter.requires_grad_(True)


def base_parameters(lm: LanguageModel) -> dict[str, nn.Parameter]:
    """Every weight of the base as the layers use it (fused), by name; tied weights once."""
    named = {"embeddings": lm.model.model.embed_tokens.weight, "norm": lm.model.model.norm.weight}
    if lm.head is not named["embeddings"]:
        named["head"] = lm.head
    for index, block in enumerate(lm.blocks):
        named |= {f"layers.{index}.{name}": value for name, value in block.parameters().items()}
    return named


def save_adapter(lm: LanguageModel, folder: str | Path) -> None:
    """Write lm's adapter in PEFT's format; where there is none, the whole fine-tuned model."""
    if lm.adapter is None:
        save_model(lm, folder)
    else:
        write_adapter(lm.adapter, Path(folder), lm.path)


def save_model(lm: LanguageModel, folder: str | Path) -> None:
    """Write a whole model with its tokenizer, LoRA merged into the weights: usable as a base.

    The merge is computed in float32 and rounded once; lm itself keeps its base and its adapter.
    """
    path = Path(folder)
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        lm.tokenizer.save_pretrained(path)
        lm.model.save_pretrained(path, state_dict=merged_tensors(lm))


def merged_tensors(lm: LanguageModel) -> dict[str, Tensor]:
    """The state dict of transformers' model with the adapter merged in; copies, no views."""
    tensors = {name: value.detach().clone() for name, value in lm.model.state_dict().items()}
    if lm.model.config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    for index in range(lm.layers):
        parts = lm.adapter.layer(index) if lm.adapter else None
        for name, part in (parts or {}).items():
            sizes = [len(up) for up in part.ups]
            deltas = torch.split(part.delta().detach(), sizes)
            for module, delta in zip(PROJECTIONS[name], deltas, strict=True):
                key = f"model.layers.{index}.{module}.weight"
                tensors[key] = (tensors[key].float() + delta).to(tensors[key].dtype)
    return tensors


def encode_chat(lm: LanguageModel, messages: Sequence[Message]) -> list[int]:
    """Token ids of a conversation up to where the assistant begins to answer.

    A special token's name inside a message is plain text, never a control token: where one occurs,
    the messages are tokenized apart from the template that surrounds them.
    """
    specials = lm.tokenizer.all_special_tokens + [
        token.content for token in lm.tokenizer.added_tokens_decoder.values() if token.special
    ]
    contents = [message["content"] for message in messages]
    if not any(special in content for special in specials for content in contents):
        return _tokenize(lm, _render(lm, messages), plain=False)
    marks = [f"\ue000{index}\ue001" for index in range(len(messages))]
    marked: list[Message] = [
        {"role": message["role"], "content": mark}
        for message, mark in zip(messages, marks, strict=True)
    ]
    rest, ids = _render(lm, marked), []
    for mark, content in zip(marks, contents, strict=True):
        if mark not in rest:
            continue  # a template may leave a message out
        before, _, rest = rest.partition(mark)
        ids += _tokenize(lm, before, plain=False)
        ids += _tokenize(lm, content, plain=True)
    return ids + _tokenize(lm, rest, plain=False)


def encode_text(lm: LanguageModel, text: str, *, finished: bool = False) -> list[int]:
    """Token ids of a completion or plain text, control tokens as text; EOS after a finished one."""
    return _tokenize(lm, text, plain=True) + ([lm.eos_ids[0]] if finished else [])


def decode(lm: LanguageModel, ids: Sequence[int]) -> str:
    """The text of token ids, without control tokens and without NUL, which databases refuse."""
    text: str = lm.tokenizer.decode(
        list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text.replace("\0", "")


def base_sha256(folder: Path) -> str:
    """One hash over the names and contents of a model's safetensors files.

    Sums are kept in .sha256.json beside them, where that can be written, by size and time.
    """
    cache_path = folder / ".sha256.json"
    try:
        cache = json.loads(cache_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        cache = {}
    sums = {}
    for path in sorted(folder.glob("*.safetensors")):
        stamp = [path.stat().st_size, path.stat().st_mtime_ns]
        known = cache.get(path.name)
        sums[path.name] = known if known and known[:2] == stamp else [*stamp, file_sha256(path)]
    if sums != cache and os.access(folder, os.W_OK):
        write_atomically(cache_path, json.dumps(sums))
    text = "\n".join(f"{name} {value[2]}" for name, value in sums.items())
    return hashlib.sha256(text.encode()).hexdigest()


def _render(lm: LanguageModel, messages: Sequence[Message]) -> str:
    text: str = lm.tokenizer.apply_chat_template(
        [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
    )
    return text


def _tokenize(lm: LanguageModel, text: str, *, plain: bool) -> list[int]:
    ids: list[int] = lm.tokenizer(text, add_special_tokens=False, split_special_tokens=plain)[
        "input_ids"
    ]
    return ids


def _find(path: str | Path) -> Path:
    """The folder of a model; a hub name's is fetched, only FETCHED of it."""
    folder = Path(path)
    if (folder / "config.json").is_file():
        return folder
    if folder.exists() or folder.is_absolute():
        raise RunError("model_not_found", path=str(path))
    try:
        return Path(snapshot_download(str(path), allow_patterns=FETCHED))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise RunError("model_not_found", path=str(path)) from error


def _check_supported(folder: Path) -> None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = str(config.get("model_type"))
    except (ValueError, AttributeError) as error:
        raise RunError("model_not_found", path=str(folder)) from error
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    if (folder / SETTINGS).is_file():
        # transformers would put it in by itself, and the base's identity would say nothing of it.
        raise _not_whole(folder, "an adapter")
    if kind not in SUPPORTED or (window or config.get("max_position_embeddings", 0)) < min(
        config.get("max_position_embeddings", 0), 4096
    ):
        raise RunError("model_unsupported", path=str(folder), architecture=kind)
