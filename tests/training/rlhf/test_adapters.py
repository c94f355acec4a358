"""LoRA adapters: PEFT computes the same with our files; a wrong one is refused."""

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from training.rlhf.adapters import SETTINGS, WEIGHTS
from training.rlhf.durable import RunError, write_manifest
from training.rlhf.layers import completion_logprobs, hidden_states, make_batch
from training.rlhf.models import add_lora, load_adapter, load_language_model, save_adapter
from training.rlhf.randomness import generator
from training.rlhf.tiny_model import write_tiny_model

PROMPT, COMPLETION = [5, 6, 7, 8], [40, 41, 42, 43, 44]


def logprobs(lm):
    batch = make_batch(lm, [PROMPT], [COMPLETION], [0])
    with torch.no_grad():
        hidden = hidden_states(lm, batch, [lm.layers])[lm.layers]
        return completion_logprobs(lm, batch, hidden).logprobs[0]


@pytest.fixture
def tuned(tiny):
    """An adapter on the top half that changes what the model says."""
    lm = add_lora(tiny, 4, 2.0, 0.5, generator(1))
    with torch.no_grad():
        for name, parameter in lm.adapter.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(0, name)) * 0.2)
    return lm


def test_a_new_adapter_changes_nothing(tiny):
    assert torch.equal(logprobs(add_lora(tiny, 4, 2.0, 0.5, generator(0))), logprobs(tiny))


def test_it_is_on_the_top_share_of_the_layers(tiny):
    assert add_lora(tiny, 4, 2.0, 0.5, generator(0)).adapter.first == 2
    assert add_lora(tiny, 4, 2.0, 1.0, generator(0)).adapter.first == 0
    assert add_lora(tiny, 4, 2.0, 0.01, generator(0)).adapter.first == 3


def test_the_same_generator_gives_the_same_adapter(tiny):
    one, two = (add_lora(tiny, 4, 2.0, 1.0, generator(5)).trainable() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_only_the_adapter_is_trainable_and_gets_a_gradient(tuned):
    assert all(parameter.dtype == torch.float32 for parameter in tuned.trainable().values())
    batch = make_batch(tuned, [PROMPT], [COMPLETION], [0])
    hidden = hidden_states(tuned, batch, [tuned.layers])[tuned.layers]
    completion_logprobs(tuned, batch, hidden).logprobs.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in tuned.adapter.parameters())
    assert all(parameter.grad is None for parameter in tuned.model.parameters())


def test_the_reference_is_the_same_base_without_it(tiny, tuned):
    assert not torch.allclose(logprobs(tuned), logprobs(tiny), atol=0.1)
    assert torch.equal(logprobs(tuned.with_adapter(None)), logprobs(tiny))
    assert tuned.with_adapter(None).blocks is tiny.blocks


@pytest.mark.model
def test_peft_computes_the_same_from_our_files(tuned, tiny_folder, tmp_path):
    save_adapter(tuned, tmp_path)
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_folder), tmp_path)
    with torch.no_grad():
        logits = theirs(torch.tensor([PROMPT + COMPLETION])).logits[0, len(PROMPT) - 1 : -1]
    expected = logits.log_softmax(-1).gather(1, torch.tensor(COMPLETION)[:, None]).squeeze(1)
    assert torch.allclose(logprobs(tuned), expected, atol=1e-4)


def test_it_comes_back_as_it_was(tuned, tiny, tmp_path):
    save_adapter(tuned, tmp_path)
    again = tiny.with_adapter(load_adapter(tiny, tmp_path))
    assert torch.equal(logprobs(again), logprobs(tuned))
    assert again.trainable() == {}
    assert (again.adapter.rank, again.adapter.scale, again.adapter.first) == (4, 2.0, 2)


def test_a_base_loads_with_its_adapter(tuned, tiny_folder, tmp_path):
    save_adapter(tuned, tmp_path)
    lm = load_language_model(tiny_folder, device="cpu", precision="float32", adapter=tmp_path)
    assert torch.equal(logprobs(lm), logprobs(tuned))


def test_a_folder_without_an_adapter_is_named(tiny, tmp_path):
    with pytest.raises(RunError) as caught:
        load_adapter(tiny, tmp_path)
    assert (caught.value.code, caught.value.values) == ("model_not_found", {"path": str(tmp_path)})


def test_an_adapter_with_a_wrong_sum_is_refused(tuned, tiny, tmp_path):
    save_adapter(tuned, tmp_path)
    write_manifest(tmp_path)
    load_adapter(tiny, tmp_path)
    weights = bytearray((tmp_path / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (tmp_path / WEIGHTS).write_bytes(weights)
    with pytest.raises(RunError) as caught:
        load_adapter(tiny, tmp_path)
    assert caught.value.code == "checkpoint_corrupt"


def test_an_adapter_for_another_base_is_refused(tuned, tmp_path):
    save_adapter(tuned, tmp_path / "adapter")
    for name, values in (("wide", {"hidden": 96}), ("deep", {"layers": 6})):
        write_tiny_model(tmp_path / name, **values)
        other = load_language_model(tmp_path / name, device="cpu", precision="float32")
        with pytest.raises(RunError) as caught:
            load_adapter(other, tmp_path / "adapter")
        assert caught.value.code == "checkpoint_mismatch"


def test_rubbish_is_refused(tuned, tiny, tmp_path):
    save_adapter(tuned, tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4}))
    with pytest.raises(RunError) as caught:
        load_adapter(tiny, tmp_path)
    assert caught.value.code == "checkpoint_corrupt"


def change_settings(folder, **values):
    settings = json.loads((folder / SETTINGS).read_text())
    (folder / SETTINGS).write_text(json.dumps({**settings, **values}))


@pytest.mark.parametrize(
    "values",
    [
        {"r": 0},
        {"r": 10**12},
        {"lora_alpha": None},
        {"lora_alpha": 1e999},
        {"layers_to_transform": 3},
        {"layers_to_transform": ["x"]},
    ],
)
def test_settings_that_are_not_those_of_the_weights_are_refused(tuned, tiny, tmp_path, values):
    save_adapter(tuned, tmp_path)
    change_settings(tmp_path, **values)
    with pytest.raises(RunError) as caught:
        load_adapter(tiny, tmp_path)
    assert caught.value.code in ("checkpoint_corrupt", "checkpoint_mismatch")


def test_weights_that_are_no_numbers_are_refused(tuned, tiny, tmp_path):
    save_adapter(tuned, tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(RunError) as caught:
        load_adapter(tiny, tmp_path)
    assert caught.value.code == "checkpoint_corrupt"


def test_the_file_holds_pefts_names_only(tuned, tmp_path):
    save_adapter(tuned, tmp_path)
    names = load_file(tmp_path / WEIGHTS)
    assert len(names) == 2 * 7 * 2
    assert "base_model.model.model.layers.3.mlp.down_proj.lora_B.weight" in names
