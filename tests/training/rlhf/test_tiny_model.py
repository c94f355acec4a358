"""The tiny model: made in a moment, the same each time, and a stand-in for a real one."""

import string
import time

from training.rlhf.decoding import sample
from training.rlhf.durable import file_sha256
from training.rlhf.models import decode, encode_chat, load_language_model
from training.rlhf.randomness import uniforms
from training.rlhf.tiny_model import write_tiny_model


def test_the_same_seed_gives_the_same_bytes(tmp_path, tiny_folder):
    weights = "model.safetensors"
    again, other = write_tiny_model(tmp_path / "a"), write_tiny_model(tmp_path / "b", seed=1)
    assert file_sha256(again / weights) == file_sha256(tiny_folder / weights)
    assert file_sha256(other / weights) != file_sha256(tiny_folder / weights)


def test_it_loads_in_under_a_second(tiny_folder):
    start = time.process_time()
    load_language_model(tiny_folder, device="cpu", precision="float32")
    assert time.process_time() - start < 1


def test_it_babbles_letters_and_often_ends(tiny):
    rollout = sample(
        tiny,
        [encode_chat(tiny, [{"role": "user", "content": "hello"}])],
        samples=100,
        max_new_tokens=100,
        temperature=1.0,
        uniforms=uniforms(0, 0, ["hello"], 100, 100),
    )
    text = "".join(decode(tiny, rollout.completion(row)) for row in range(100))
    letters = sum(letter in string.ascii_lowercase + " " for letter in text)
    assert letters / len(text) > 0.75
    assert 0.6 < rollout.finished.float().mean() < 0.99


def test_it_round_trips_any_text(tiny):
    text = "Grüße, 你好 👋\n\t<b>&amp;</b>"
    ids = tiny.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert decode(tiny, ids) == text
