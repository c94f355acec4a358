"""Tokenizers that don't say which token ends a text, or which one fills a batch."""

import json
import logging
import shutil
from types import SimpleNamespace

import pytest

from tests.training.rlhf.rehearsal import completions, messages
from training.rlhf.durable import RunError
from training.rlhf.models import encode_text, load_language_model
from training.rlhf.special_tokens import end_ids, pad_id


class Bare:
    """A tokenizer as far as special tokens go."""

    def __init__(self, vocabulary, *, specials=(), **named):
        self.vocabulary = dict(vocabulary)
        self.added_tokens_decoder = {
            self.vocabulary[name]: SimpleNamespace(special=True) for name in specials
        }
        for kind in ("eos", "bos", "pad", "unk"):
            setattr(self, f"{kind}_token_id", self.vocabulary.get(named.get(kind)))
        self.eos_token = named.get("eos")

    def get_vocab(self):
        return self.vocabulary

    def convert_ids_to_tokens(self, token):
        return next(name for name, number in self.vocabulary.items() if number == token)


def test_the_tokenizers_own_end_comes_first():
    tokenizer = Bare({"a": 0, "</s>": 1}, eos="</s>")
    assert end_ids(tokenizer, [None, 7, 1], "m") == (1, 7)


def test_without_one_the_models_configuration_says_it():
    tokenizer = Bare({"a": 0, "stop": 1})
    assert end_ids(tokenizer, [1], "m") == (1,)
    assert tokenizer.eos_token == "stop"


def test_without_either_a_token_with_a_usual_name_is_taken_and_said(caplog):
    tokenizer = Bare({"a": 0, "<|endoftext|>": 1, "<|im_end|>": 2})
    with caplog.at_level(logging.WARNING):
        assert end_ids(tokenizer, [None], "m") == (2,)
    assert tokenizer.eos_token == "<|im_end|>"
    assert "no EOS; <|im_end|> is used" in caplog.text


def test_where_nothing_ends_a_text_the_model_is_refused():
    with pytest.raises(RunError) as refused:
        end_ids(Bare({"a": 0}), [None], "m")
    assert refused.value.code == "model_unsupported"
    assert "eos_token" in refused.value.values["architecture"]


ONE = {"<|endoftext|>": 0, "a": 1, "Ā": 2}


def test_padding_is_a_row_that_the_tokenizer_does_not_know(caplog):
    tokenizer = Bare(ONE, specials=["<|endoftext|>"], eos="<|endoftext|>", bos="<|endoftext|>")
    with caplog.at_level(logging.WARNING):
        assert pad_id(tokenizer, (0,), 8, "m") == 3
    assert "no token for padding; id 3" in caplog.text


def test_else_it_is_the_byte_that_no_stored_text_holds():
    tokenizer = Bare(ONE, specials=["<|endoftext|>"], eos="<|endoftext|>", pad="<|endoftext|>")
    assert pad_id(tokenizer, (0,), 3, "m") == 2


def test_where_no_token_is_free_the_model_is_refused():
    with pytest.raises(RunError) as refused:
        pad_id(Bare({"a": 0, "</s>": 1}, eos="</s>"), (1,), 2, "m")
    assert "pad_token" in refused.value.values["architecture"]


@pytest.fixture
def bare(tiny_folder, tmp_path):
    """The tiny model with a tokenizer that names no special token and has no template."""
    folder = shutil.copytree(tiny_folder, tmp_path / "bare")
    (folder / "chat_template.jinja").unlink()
    (folder / "generation_config.json").unlink(missing_ok=True)
    settings = json.loads((folder / "config.json").read_text())
    for name in ("eos_token_id", "bos_token_id", "pad_token_id"):
        settings[name] = None
    (folder / "config.json").write_text(json.dumps(settings))
    own = json.loads((folder / "tokenizer_config.json").read_text())
    own = {name: value for name, value in own.items() if not name.endswith("_token")}
    (folder / "tokenizer_config.json").write_text(json.dumps(own))
    return folder


def test_a_model_without_end_padding_and_template_works_and_says_so(bare, caplog):
    with caplog.at_level(logging.WARNING):
        lm = load_language_model(bare, device="cpu", precision="float32")
    assert (lm.eos_ids, lm.pad_id) == ((2,), 0)
    assert lm.has_plain_template
    assert "no EOS" in caplog.text
    assert "no chat template; a plain one is used" in caplog.text
    assert encode_text(lm, "x", finished=True)[-1] == 2
    (texts,) = completions(bare, [{"id": "1", "prompt": messages("x")}], samples=2)
    assert len(texts) == 2
