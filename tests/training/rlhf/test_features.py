"""Pooled features: the same from texts and from a rollout, and what hand-made pooling gives."""

from itertools import pairwise

import pytest
import torch

from training.rlhf.decoding import sample
from training.rlhf.features import (
    LENGTHS,
    FeatureRow,
    feature_count,
    features_from_rollout,
    pooled_features,
)
from training.rlhf.models import add_lora, decode, encode_chat, encode_text
from training.rlhf.process import Control, Stopped
from training.rlhf.randomness import generator, uniforms

LAYERS = (1, 3)


def ask(text):
    return [{"role": "user", "content": text}]


ROWS = [
    FeatureRow(ask("one"), "abc", True),
    FeatureRow(ask("another prompt"), "defgh", False),
    FeatureRow(ask("one"), "", False),
    FeatureRow(ask("one"), "a rather longer completion", True),
]


def by_hand(lm, row):
    """Means and last state from transformers' own states of the unpadded sequence."""
    prompt = encode_chat(lm, row.messages)
    ids = encode_text(lm, row.text, finished=row.finished)
    with torch.no_grad():
        output = lm.model(torch.tensor([prompt + ids]), output_hidden_states=True)
    parts = []
    for layer in LAYERS:
        states = output.hidden_states[layer][0, len(prompt) :]
        parts.append(states.mean(0) if ids else torch.zeros(lm.width))
    last = output.hidden_states[LAYERS[-1]][0, -1]
    words, letters = row.text.split(), "".join(row.text.split())
    steps = [
        min(1.0, max(0.0, (len(words) - low) / (high - low))) for low, high in pairwise(LENGTHS)
    ]
    visible = [*steps, len(letters) / max(1, len(words)) / 5, float(row.finished)]
    return torch.cat([*parts, last, torch.tensor(visible)])


def test_they_are_what_pooling_by_hand_gives(tiny):
    found = pooled_features(tiny, ROWS, LAYERS)
    assert found.shape == (4, feature_count(tiny, LAYERS)) == (4, 3 * 64 + 15)
    for row, features in zip(ROWS, found, strict=True):
        assert torch.allclose(features, by_hand(tiny, row), atol=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 40, 100_000])
def test_batches_change_nothing(tiny, batch_tokens):
    expected = pooled_features(tiny, ROWS, LAYERS)
    found = pooled_features(tiny, ROWS, LAYERS, batch_tokens=batch_tokens)
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_rollout_gives_the_same_without_running_again(tiny):
    texts = ["one", "another prompt"]
    rollout = sample(
        tiny,
        [encode_chat(tiny, ask(text)) for text in texts],
        samples=8,
        max_new_tokens=30,
        temperature=1.0,
        uniforms=uniforms(0, 0, texts, 8, 30),
        keep_layers=LAYERS,
    )
    rows = [
        FeatureRow(ask(texts[row // 8]), decode(tiny, rollout.completion(row)), bool(end))
        for row, end in enumerate(rollout.finished)
    ]
    # Bytes that are no UTF-8 come back as other tokens: only the others can be compared.
    same = [
        row
        for row, item in enumerate(rows)
        if encode_text(tiny, item.text, finished=item.finished) == rollout.completion(row)
    ]
    assert {bool(rollout.finished[row]) for row in same} == {True, False}
    expected = pooled_features(tiny, rows, LAYERS)
    found = features_from_rollout(rollout, LAYERS, tiny.spelling)
    assert torch.allclose(found[same], expected[same], atol=1e-5)


def test_they_are_the_bases_whatever_the_adapter(tiny):
    lm = add_lora(tiny, 2, 2.0, 1.0, generator(0))
    with torch.no_grad():
        for parameter in lm.adapter.parameters():
            parameter.add_(0.1)
    expected = pooled_features(tiny, ROWS, LAYERS)
    assert torch.equal(pooled_features(lm, ROWS, LAYERS), expected)


def test_a_long_completion_loses_its_end_and_is_not_finished(tiny):
    prompt = ask("p" * 10)
    long = FeatureRow(prompt, "abcdefgh" * 20, True)
    found = pooled_features(tiny, [long], LAYERS, max_tokens=50)[0]
    short = FeatureRow(prompt, ("abcdefgh" * 20)[:50], False)
    assert torch.allclose(found, pooled_features(tiny, [short], LAYERS)[0])


def test_a_long_prompt_loses_its_beginning(tiny):
    row = FeatureRow(ask("x" * 500), "abc", False)
    found = pooled_features(tiny, [row], LAYERS, max_tokens=60)
    assert torch.isfinite(found).all()


def test_progress_is_told_and_a_stop_obeyed(tiny):
    told = []
    pooled_features(
        tiny,
        ROWS,
        LAYERS,
        batch_tokens=1,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (4, 4)
    assert len(told) == 2
    control = Control()
    control.stop()
    with pytest.raises(Stopped):
        pooled_features(tiny, ROWS, LAYERS, control=control)


def test_a_script_without_spaces_still_has_a_length(tiny):
    rows = [FeatureRow(ask("one"), "x" * count, True) for count in (100, 300)]
    short, long = pooled_features(tiny, rows, LAYERS)[:, -15:-2].sum(1)
    assert short < long


def test_no_rows_are_no_features(tiny):
    assert pooled_features(tiny, [], LAYERS).shape == (0, 207)
