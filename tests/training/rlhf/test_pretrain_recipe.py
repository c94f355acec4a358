"""The recipe `pretrain` on small texts: from scratch and continued."""

import json
import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.training.rlhf.rehearsal import log, run_here, write_run
from training.configs import PretrainConfig, SftConfig
from training.rlhf import pretrain, sft
from training.rlhf.durable import RunError, verify_manifest
from training.rlhf.models import encode_text, load_language_model
from training.rlhf.rundir import RunDirectory

pytestmark = pytest.mark.model

ANIMALS, VERBS = ("cat", "dog", "cow", "hen", "fox"), ("eats", "sees", "likes", "finds")
SCRATCH = {
    "start": "scratch",
    "layers": 2,
    "hidden": 32,
    "heads": 4,
    "kv_heads": 2,
    "vocabulary": 300,
    "context": 128,
    "window": 64,
}
FIXED = {"precision": "float32", "threads": 1, "learning_rate": 1e-2, "batch": 4}


def text_rows(count, split="train"):
    return [
        {
            "id": str(n),
            "split": split,
            "text": f"The {ANIMALS[n % 5]} {VERBS[n % 4]} the {ANIMALS[n // 5 % 5]} number {n}.",
        }
        for n in range(count)
    ]


@pytest.fixture
def train(tmp_path):
    """train(rows, **config) → (metrics, folder of the run)."""

    def run(rows, **values):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        write_run(folder, PretrainConfig.from_dict({**FIXED, **values}), texts=rows)
        return run_here(pretrain.main, folder), folder

    return run


def their_loss(folder, texts):
    """Nats a token of whole texts with their end, computed by transformers itself, one by one."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    total = count = 0
    for text in texts:
        ids = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        with torch.no_grad():
            logprobs = model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        total -= float(logprobs[range(len(ids) - 1), ids[1:]].sum())
        count += len(ids) - 1
    return total / count


def test_from_scratch_it_learns_the_texts(train):
    metrics, folder = train(text_rows(200), **SCRATCH, epochs=6)
    rows = log(folder)
    assert rows[0]["loss"] == pytest.approx(math.log(metrics["vocabulary"]), rel=0.25)
    assert metrics["validation_loss"] < 0.4 * rows[0]["loss"]
    assert metrics["perplexity"] == pytest.approx(math.exp(metrics["validation_loss"]))
    assert (folder / "checkpoint" / "model.safetensors").exists()
    assert verify_manifest(folder / "checkpoint")
    assert not (folder / "start").exists()


def test_the_first_loss_is_that_of_transformers_on_each_text_alone(train, tiny_folder):
    rows = text_rows(12)
    metrics, _ = train(
        rows, base=str(tiny_folder), batch=100, learning_rate=1e-12, validation_share=0.0
    )
    assert metrics["loss"] == pytest.approx(
        their_loss(tiny_folder, [row["text"] for row in rows]), rel=1e-5
    )
    assert metrics["validation_loss"] is None


def test_what_is_kept_back_is_measured_as_transformers_measures_it(train):
    rows = text_rows(80)
    metrics, folder = train(rows, **SCRATCH, validation_share=0.3)
    directory = RunDirectory.open(folder)
    kept = list(pretrain.training_texts(directory, share=0.3, seed=0, kept_back=True))
    learned = list(pretrain.training_texts(directory, share=0.3, seed=0))
    directory.close()
    assert sorted(kept + learned) == sorted(row["text"] for row in rows)
    assert 10 < len(kept) < 40
    checkpoint = folder / "checkpoint"
    assert metrics["validation_loss"] == pytest.approx(their_loss(checkpoint, kept), rel=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    tokens = sum(len(tokenizer(text).input_ids) for text in kept)
    expected = metrics["validation_loss"] * tokens / math.log(2) / sum(map(len, kept))
    assert metrics["bits_per_byte"] == pytest.approx(expected, rel=1e-6)


def test_it_goes_on_from_a_model(train, tiny_folder):
    metrics, folder = train(text_rows(60), base=str(tiny_folder), epochs=8, batch=1)
    rows = log(folder)
    assert rows[-1]["loss"] < 0.75 * rows[0]["loss"]
    settings = json.loads((folder / "checkpoint" / "config.json").read_text())
    assert settings["num_hidden_layers"] == 4
    assert metrics["vocabulary"] == 259


def test_the_result_is_a_base_for_other_recipes(train, tmp_path):
    _, folder = train(text_rows(100), **SCRATCH)
    config = SftConfig(
        base=str(folder / "checkpoint"), epochs=1, precision="float32", threads=1, max_tokens=64
    )
    rows = [
        {
            "id": str(n),
            "split": "train",
            "prompt": [{"role": "user", "content": f"number {n}"}],
            "completion": "The cat sees the dog.",
            "labeler": "one",
            "weight": 1.0,
        }
        for n in range(12)
    ]
    run = write_run(tmp_path / "sft", config, demonstrations=rows)
    assert run_here(sft.main, run)["demonstrations"] == 12


def test_texts_longer_than_the_window_are_learned_to_their_end(train, tiny_folder):
    rows = [{"id": "1", "split": "train", "text": "abcdefgh " * 100}]
    metrics, folder = train(
        rows, base=str(tiny_folder), window=50, batch=1, validation_share=0.0, learning_rate=1e-12
    )
    assert metrics["tokens"] == 901
    assert len(log(folder)) == math.ceil(900 / 49)


def test_texts_before_and_after_are_there_to_read(train, tiny_folder):
    _, folder = train(text_rows(60), base=str(tiny_folder), epochs=3)
    shown = log(folder, "samples")
    assert len(shown) == 3
    assert all("The " in row["prompt"] and row["before"] != row["after"] for row in shown)


def test_texts_of_other_splits_and_without_a_token_are_left_out(train, tiny_folder):
    rows = [
        *text_rows(10),
        *text_rows(10, "evaluation"),
        {"id": "none", "split": "train", "text": ""},
    ]
    metrics, _ = train(rows, base=str(tiny_folder), validation_share=0.0)
    assert (metrics["texts"], metrics["empty_texts"]) == (10, 1)


def test_a_control_token_in_a_text_is_text(train, tiny, tiny_folder):
    text = "stop<|im_end|>now"
    rows = [{"id": "1", "split": "train", "text": text}]
    metrics, _ = train(rows, base=str(tiny_folder), validation_share=0.0)
    assert metrics["tokens"] == len(encode_text(tiny, text)) + 1 == len(text) + 1


def test_a_control_token_in_the_texts_stays_text_for_a_tokenizer_made_of_them(train):
    rows = [{"id": str(n), "split": "train", "text": f"<|im_end|> {n}"} for n in range(50)]
    _, folder = train(rows, **SCRATCH)
    lm = load_language_model(folder / "checkpoint", device="cpu", precision="float32")
    ids = encode_text(lm, "<|im_end|> 3", finished=True)
    assert [token for token in ids if token in {0, 1, 2}] == [2]
    assert ids[-1] == 2


@pytest.mark.parametrize(
    ("row", "problem"),
    [({"id": "1"}, "needs a text"), ({"id": "1", "text": "\ud800"}, "half a character")],
)
def test_a_broken_text_is_named_by_its_line(train, tiny_folder, row, problem):
    with pytest.raises(RunError) as refused:
        train([*text_rows(2), row], base=str(tiny_folder))
    assert refused.value.code == "data_invalid"
    assert refused.value.values["line"] == 3
    assert problem in refused.value.values["problem"]


def test_nothing_to_learn_is_said(train, tiny_folder):
    with pytest.raises(RunError) as refused:
        train(text_rows(4, "evaluation"), base=str(tiny_folder))
    assert refused.value.code == "data_missing"
