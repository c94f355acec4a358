"""The default model, made from its package: a real chat model, whole or not there at all."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from training.rlhf import prepare_default_model as module
from training.rlhf.decoding import sample
from training.rlhf.durable import RunError, verify_manifest
from training.rlhf.models import decode, encode_chat, load_language_model
from training.rlhf.prepare_default_model import prepare_default_model
from training.rlhf.randomness import uniforms

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("default-model")]  # made once


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("default") / "smollm2"
    assert prepare_default_model(target)
    return target


def test_it_is_whole_and_made_once(folder):
    assert verify_manifest(folder) is not None
    assert [path.name for path in folder.parent.iterdir()] == ["smollm2"]
    assert not prepare_default_model(folder)


def test_it_is_an_ordinary_model_of_its_size(folder):
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config
    assert (config["model_type"], config["num_hidden_layers"]) == ("llama", 30)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008


def test_its_pad_is_not_its_eos_and_no_prompt_is_put_before_mine(folder):
    lm = load_language_model(folder, device="cpu", precision="float32")
    assert (lm.pad_id, lm.eos_ids) == (0, (2,))
    ids = encode_chat(lm, [{"role": "user", "content": "Hi"}])
    assert lm.tokenizer.decode(ids) == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_it_talks_sense(folder):
    lm = load_language_model(folder, device="cpu", precision="float32")
    prompt = encode_chat(lm, [{"role": "user", "content": "What is the capital of France?"}])
    rollout = sample(
        lm,
        [prompt],
        samples=1,
        max_new_tokens=12,
        temperature=0.01,
        uniforms=uniforms(0, 0, ["france"], 1, 12),
    )
    assert "Paris" in decode(lm, rollout.completion(0))


def test_what_an_interrupted_start_left_is_replaced(tmp_path, monkeypatch):
    target = tmp_path / "smollm2"
    (tmp_path / ".smollm2.new").mkdir()
    (tmp_path / ".smollm2.new" / "half").write_text("")
    target.mkdir()

    def convert(_gguf, folder):
        assert list(folder.iterdir()) == []
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(module, "_convert", convert)
    assert prepare_default_model(target)
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "manifest.json"]


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(RunError) as caught:
        prepare_default_model(tmp_path / "x")
    assert caught.value.code == "model_not_found"
    assert "pip install" in str(caught.value.values["path"])
