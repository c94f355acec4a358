"""Packed rows: each sequence is computed as if it stood alone, however it is packed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.rlhf import packing
from training.rlhf.encoding import encode_group
from training.rlhf.features import FeatureRow
from training.rlhf.layers import completion_logprobs, hidden_states
from training.rlhf.losses import token_loss
from training.rlhf.models import add_lora, load_language_model, unfreeze
from training.rlhf.packing import Sequenced, best_fit, pack, pack_all, packed_logprobs, parts
from training.rlhf.randomness import generator

lengths = st.lists(st.integers(1, 30), max_size=60)


def whole(ids):
    return Sequenced(ids, [True] * len(ids))


@pytest.fixture(scope="module")
def sequences():
    rng = np.random.default_rng(0)
    return [whole(rng.integers(3, 250, size).tolist()) for size in (5, 9, 2, 14, 7, 1, 3)]


def alone(lm, ids):
    """log π of all tokens but the first, computed by transformers itself."""
    with torch.no_grad():
        logits = lm.model(torch.tensor([list(ids)])).logits[0]
    return logits[:-1].log_softmax(-1)[range(len(ids) - 1), list(ids[1:])].tolist()


@given(lengths, st.integers(30, 64))
def test_every_sequence_stands_in_one_row_and_no_row_is_too_long(sizes, room):
    rows = best_fit(sizes, room)
    assert sorted(n for row in rows for n in row) == list(range(len(sizes)))
    assert all(sum(sizes[n] for n in row) <= room for row in rows)


@given(lengths, st.randoms())
def test_the_number_of_rows_does_not_depend_on_the_order(sizes, random):
    mixed = sizes.copy()
    random.shuffle(mixed)
    assert len(best_fit(sizes, 30)) == len(best_fit(mixed, 30))


@given(lengths)
def test_no_two_rows_could_be_one(sizes):
    filled = sorted(sum(sizes[n] for n in row) for row in best_fit(sizes, 30))
    assert len(filled) < 2 or filled[0] + filled[1] > 30


def test_the_tightest_row_is_taken():
    # 7 and 6 open a row each (3 and 4 left); 4 fits the second only, 3 the first exactly.
    assert best_fit([3, 7, 4, 6], 10) == [[1, 0], [3, 2]]


def test_a_sequence_longer_than_a_row_is_refused():
    with pytest.raises(ValueError, match="11 tokens does not fit into 10"):
        best_fit([3, 11], 10)


def test_each_sequence_has_the_numbers_that_it_has_alone(tiny, sequences):
    packed = pack(tiny, sequences, [[3, 0, 2], [1, 4, 5], [6]])
    with torch.no_grad():
        found = packed_logprobs(tiny, packed)
    for number, sequence in enumerate(sequences):
        own = found[packed.documents == number].tolist()
        assert own[0] == 0
        assert own[1:] == pytest.approx(alone(tiny, sequence.ids), abs=2e-5)


def test_what_stands_beside_a_sequence_changes_not_one_bit_of_it(tiny, sequences):
    rows = [[3, 0, 2]]
    changed = list(sequences)
    changed[3] = whole([250 - token for token in sequences[3].ids])
    changed[2] = whole([77] * 2)
    with torch.no_grad():
        one, other = (
            packed_logprobs(tiny, packed)[packed.documents == 0]
            for packed in (pack(tiny, sequences, rows), pack(tiny, changed, rows))
        )
    assert torch.equal(one, other)


def test_no_gradient_crosses_from_one_sequence_to_another(tiny_folder):
    lm = load_language_model(tiny_folder, device="cpu", precision="float32")
    unfreeze(lm)
    tokens = [[10, 11, 12, 13], [20, 21, 22], [30, 31, 32, 33]]
    packed = pack(lm, [whole(ids) for ids in tokens], [[0, 1, 2]])
    packed_logprobs(lm, packed)[packed.documents == 1].sum().backward()
    reached = lm.model.model.embed_tokens.weight.grad.abs().sum(-1).nonzero().flatten()
    assert reached.tolist() == [20, 21]  # the last one predicts nothing


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(7)))
def test_any_packing_has_the_same_loss(tiny, sequences, order):
    mixed = [sequences[n] for n in order]
    alone_each = [[n] for n in range(len(mixed))]
    losses = []
    for rows in (alone_each, best_fit([len(s) for s in mixed], 16)):
        packed = pack(tiny, mixed, rows)
        with torch.no_grad():
            losses.append(float(token_loss(packed_logprobs(tiny, packed), packed.learned)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_it_is_the_loss_of_unpacked_completions(tiny):
    rows = [
        FeatureRow([{"role": "user", "content": f"say {n}" * (n + 1)}], "abc " * n, finished=True)
        for n in range(1, 9)
    ]
    batch = encode_group(tiny, rows, 512)
    sequences = []
    for row in range(len(rows)):
        prompt = batch.prompt_ids[row][batch.prompt_mask[row]].tolist()
        answer = batch.ids[row][batch.mask[row]].tolist()
        learned = [False] * len(prompt) + [True] * len(answer)
        sequences.append(Sequenced(prompt + answer, learned))
    packed = pack_all(tiny, sequences)
    assert len(packed.ids) < len(rows)
    with torch.no_grad():
        states = hidden_states(tiny, batch, [tiny.layers])[tiny.layers]
        expected = token_loss(completion_logprobs(tiny, batch, states).logprobs, batch.mask)
        found = token_loss(packed_logprobs(tiny, packed), packed.learned)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_parts_together_are_the_whole(tiny, sequences):
    packed = pack(tiny, sequences, [[n] for n in range(7)])
    pieces = list(parts(packed, tokens=30))
    assert [len(piece.ids) for piece in pieces] == [2, 2, 2, 1]
    assert torch.equal(torch.cat([piece.ids for piece in pieces]), packed.ids)


@pytest.mark.parametrize("full", [True, False])
def test_gradients_are_those_of_the_sequences_alone(tiny_folder, sequences, monkeypatch, full):
    monkeypatch.setattr(packing, "HEAD_TOKENS", 4)
    gradients = []
    for rows in ([[n] for n in range(7)], [[3, 0, 2], [1, 4, 5, 6]]):
        lm = load_language_model(tiny_folder, device="cpu", precision="float32")
        if full:
            unfreeze(lm)
        else:
            lm = add_lora(lm, 4, 2.0, 1.0, generator(0))
        packed = pack(lm, sequences, rows)
        token_loss(packed_logprobs(lm, packed), packed.learned).backward()
        gradients.append({name: value.grad for name, value in lm.trainable().items()})
    assert any(bool(value.abs().max() > 1e-3) for value in gradients[0].values())
    for name, value in gradients[0].items():
        assert torch.allclose(value, gradients[1][name], atol=1e-5), name
