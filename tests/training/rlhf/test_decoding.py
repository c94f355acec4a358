"""Sampling draws what the model says, token for token as a plain loop with transformers draws."""

import dataclasses

import numpy as np
import pytest
import torch

from training.rlhf import decoding
from training.rlhf.decoding import draw, sample
from training.rlhf.layers import completion_logprobs, hidden_states
from training.rlhf.models import add_lora, encode_chat, load_language_model
from training.rlhf.process import Control, Stopped
from training.rlhf.randomness import generator, uniforms

TEXTS = ["hello", "a somewhat longer prompt", "x"]
SAMPLES, LIMIT, TEMPERATURE = 6, 40, 0.9


@pytest.fixture
def prompts(tiny):
    return [encode_chat(tiny, [{"role": "user", "content": text}]) for text in TEXTS]


@pytest.fixture
def numbers():
    return uniforms(0, 0, TEXTS, SAMPLES, LIMIT)


def draw_all(lm, prompts, numbers, **values):
    settings = {"samples": SAMPLES, "max_new_tokens": LIMIT, "temperature": TEMPERATURE}
    return sample(lm, prompts, uniforms=numbers, **{**settings, **values})


def plain_loop(lm, prompt, numbers):
    """The same by transformers' forward, whole sequence each time, and numpy in float64."""
    ids, logprobs = list(prompt), []
    for number in numbers.double().numpy():
        with torch.no_grad():
            logits = lm.model(torch.tensor([ids])).logits[0, -1].double().numpy() / TEMPERATURE
        p = np.exp(logits - logits.max())
        p /= p.sum()
        token = int(np.searchsorted(p.cumsum(), number, side="right"))
        ids.append(token)
        logprobs.append(np.log(p[token]))
        if token in lm.eos_ids:
            break
    return ids[len(prompt) :], logprobs


@pytest.mark.model
def test_it_draws_the_tokens_of_a_plain_loop(tiny, prompts, numbers):
    rollout = draw_all(tiny, prompts, numbers)
    ends = 0
    for row in range(len(prompts) * SAMPLES):
        ids, logprobs = plain_loop(tiny, prompts[row // SAMPLES], numbers[row])
        assert rollout.completion(row) == ids
        ours = rollout.logprobs[row, : len(ids)]
        assert torch.allclose(ours.double(), torch.tensor(np.array(logprobs)), atol=1e-4)
        assert bool(rollout.finished[row]) == (ids[-1] == 2)
        ends += ids[-1] == 2
    assert 0 < ends < len(prompts) * SAMPLES


def test_after_the_end_there_is_only_padding(tiny, prompts, numbers):
    rollout = draw_all(tiny, prompts, numbers)
    mask = rollout.batch.mask
    assert (rollout.batch.ids[~mask] == tiny.pad_id).all()
    assert (rollout.logprobs[~mask] == 0).all()
    assert (mask.long().diff(dim=1) <= 0).all()
    assert ((rollout.batch.ids == 2) & mask).sum(1).tolist() == rollout.finished.long().tolist()


def test_rows_are_prompts_times_samples(tiny, prompts, numbers):
    rollout = draw_all(tiny, prompts, numbers)
    assert rollout.batch.owner.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    for row, prompt in enumerate(prompts):
        assert rollout.batch.prompt_ids[row][rollout.batch.prompt_mask[row]].tolist() == prompt


def test_a_prompts_tokens_do_not_depend_on_the_others(tiny, prompts, numbers):
    together = draw_all(tiny, prompts, numbers)
    alone = draw_all(tiny, prompts[1:2], numbers[SAMPLES : 2 * SAMPLES])
    for row in range(SAMPLES):
        assert alone.completion(row) == together.completion(SAMPLES + row)


@pytest.mark.parametrize("share", [0.01, 0.25, 1.1])
def test_dropping_finished_rows_changes_nothing(tiny, prompts, numbers, share, monkeypatch):
    expected = draw_all(tiny, prompts, numbers, keep_layers=(2,))
    monkeypatch.setattr(decoding, "DROP_SHARE", share)
    for kept in ((), (2,)):
        found = draw_all(tiny, prompts, numbers, keep_layers=kept)
        assert torch.equal(found.batch.ids, expected.batch.ids)
        assert torch.allclose(found.logprobs, expected.logprobs, atol=1e-5)
    mask = expected.batch.mask
    states = (found.hidden[2].completion, expected.hidden[2].completion)
    assert torch.allclose(states[0][mask], states[1][mask], atol=1e-5)


@pytest.mark.model
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_states_and_logprobs_are_the_training_passes(tiny_folder, prompts, numbers, precision):
    """With an adapter at work: PPO trusts this, and reuses the states below the adapter."""
    lm = load_language_model(tiny_folder, device="cpu", precision=precision)
    lm = add_lora(lm, 4, 2.0, 0.5, generator(1))
    with torch.no_grad():
        for name, parameter in lm.adapter.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(0, name)) * 0.1)
    rollout = draw_all(lm, prompts, numbers, keep_layers=(0, 2, 4))
    with torch.no_grad():
        states = hidden_states(lm, rollout.batch, (0, 2, 4))
        again = completion_logprobs(lm, rollout.batch, states[4], TEMPERATURE)
    mask, prompt_mask = rollout.batch.mask, rollout.batch.prompt_mask
    atol = 1e-4 if precision == "float32" else 0.2
    assert torch.allclose(again.logprobs, rollout.logprobs, atol=atol)
    for layer in (0, 2, 4):
        ours, theirs = rollout.hidden[layer], states[layer]
        assert ours.completion.dtype == torch.float32
        assert torch.allclose(ours.completion[mask], theirs.completion[mask], atol=atol)
        assert torch.allclose(ours.prompt[prompt_mask], theirs.prompt[prompt_mask], atol=atol)


@pytest.mark.model
def test_frequencies_are_the_models_probabilities(tiny, prompts):
    count = 4000
    first = draw_all(
        tiny,
        prompts[:1],
        uniforms(3, 0, ["p"], count, 1),
        samples=count,
        max_new_tokens=1,
        temperature=2.0,
    )
    with torch.no_grad():
        logits = tiny.model(torch.tensor([prompts[0]])).logits[0, -1]
    p = (logits / 2.0).softmax(-1)
    found = torch.bincount(first.batch.ids[:, 0], minlength=len(p))
    often = p * count >= 5
    expected = p[often] * count
    chi_square = ((found[often] - expected) ** 2 / expected).sum()
    degrees = int(often.sum()) - 1
    # Six standard deviations above the mean of a chi-square.
    assert chi_square < degrees + 6 * (2 * degrees) ** 0.5


def test_the_whole_range_of_uniforms_draws_tokens_that_have_mass():
    logits = torch.tensor([[-float("inf"), 0.0, -float("inf"), 1.0, -float("inf")]]).repeat(20, 1)
    below_one = np.nextafter(np.float32(1), np.float32(0))
    numbers = torch.tensor([0.0, float(below_one), 0.2689, 0.2690] * 5)
    tokens, logprobs = draw(logits, numbers, 1.0)
    assert tokens.tolist() == [1, 3, 1, 3] * 5
    # σ(−1) = 0.26894: the mass of token 1.
    assert torch.allclose(logprobs[:2].exp(), torch.tensor([0.26894, 0.73106]), atol=1e-5)


def test_more_tokens_than_one_that_end_are_known(tiny, prompts, numbers):
    several = dataclasses.replace(tiny, eos_ids=(2, *range(60, 80)))
    rollout = draw_all(several, prompts, numbers)
    ends = {rollout.completion(row)[-1] for row in range(18) if rollout.finished[row]}
    assert len(ends) > 1
    assert ends <= set(several.eos_ids)


def test_one_token_and_one_sample_are_enough(tiny, prompts):
    rollout = draw_all(
        tiny,
        prompts[:1],
        torch.tensor([[0.5]]),
        samples=1,
        max_new_tokens=1,
        keep_layers=(4,),
    )
    assert rollout.batch.ids.shape == (1, 1)
    assert rollout.hidden[4].completion.abs().sum() > 0


def test_a_stop_is_obeyed_between_two_tokens(tiny, prompts, numbers):
    control = Control()
    control.stop()
    with pytest.raises(Stopped):
        draw_all(tiny, prompts, numbers, control=control)


def test_it_leaves_no_graph_and_can_be_trained_on(tiny, prompts, numbers):
    lm = add_lora(tiny, 2, 2.0, 0.25, generator(0))
    rollout = draw_all(lm, prompts, numbers, keep_layers=(3,))
    assert not rollout.logprobs.requires_grad
    assert not rollout.hidden[3].completion.is_inference()


@pytest.fixture
def caches(monkeypatch):
    """(prompts, bytes of keys and values) of each cache that is made."""
    made = []

    class Measured(decoding._Loop):
        def __init__(self, *args):
            super().__init__(*args)
            tensors = [*self.keys, *self.values]
            made.append((len(self.prompts.prompt_ids), sum(one.nbytes for one in tensors)))

    monkeypatch.setattr(decoding, "_Loop", Measured)
    return made


def test_a_cache_that_would_be_too_large_is_made_in_parts(
    tiny, prompts, numbers, caches, monkeypatch
):
    expected = draw_all(tiny, prompts, numbers, keep_layers=(2, 4))
    ((_, whole),) = caches
    monkeypatch.setattr(decoding, "CACHE_BYTES", whole - 1)
    found = draw_all(tiny, prompts, numbers, keep_layers=(2, 4))
    assert [count for count, _ in caches[1:]] == [2, 1]
    assert all(size < whole for _, size in caches[1:])
    for name in ("prompt_ids", "prompt_mask", "owner", "ids", "mask"):
        assert torch.equal(getattr(found.batch, name), getattr(expected.batch, name))
    assert torch.equal(found.finished, expected.finished)
    assert torch.allclose(found.logprobs, expected.logprobs, atol=1e-5)
    for layer in (2, 4):
        ours, theirs = found.hidden[layer], expected.hidden[layer]
        for part, mask in (("prompt", found.batch.prompt_mask), ("completion", found.batch.mask)):
            states = getattr(ours, part)[mask], getattr(theirs, part)[mask]
            assert torch.allclose(*states, atol=1e-5)


def test_one_prompt_is_sampled_however_large_its_cache_is(
    tiny, prompts, numbers, caches, monkeypatch
):
    expected = draw_all(tiny, prompts, numbers)
    monkeypatch.setattr(decoding, "CACHE_BYTES", 1)
    found = draw_all(tiny, prompts, numbers)
    assert [count for count, _ in caches[1:]] == [1, 1, 1]
    assert torch.equal(found.batch.ids, expected.batch.ids)
    assert torch.equal(found.batch.owner, expected.batch.owner)


@pytest.mark.model
def test_at_temperature_0_it_is_always_the_likeliest_token(tiny, prompts, numbers):
    rollout = draw_all(tiny, prompts, numbers[: len(prompts)], samples=1, temperature=0)
    for row, prompt in enumerate(prompts):
        ids = list(prompt)
        for token in rollout.completion(row):
            with torch.no_grad():
                assert token == int(tiny.model(torch.tensor([ids])).logits[0, -1].argmax())
            ids.append(token)
    assert not rollout.logprobs.any()


def test_of_equally_likely_tokens_the_first_is_taken_at_temperature_0():
    tokens, logprobs = draw(torch.tensor([[0.0, 2.0, 2.0]]), torch.tensor([0.9]), 0)
    assert (tokens.tolist(), logprobs.tolist()) == ([1], [0.0])


def test_logits_that_are_no_numbers_end_in_an_error_not_in_tokens(tiny, prompts, numbers):
    lm = add_lora(tiny, 2, 1.0, 1.0, generator(0))
    with torch.no_grad():
        for parameter in lm.adapter.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(FloatingPointError):
        draw_all(lm, prompts, numbers, max_new_tokens=3)


def test_no_token_beyond_the_vocabulary_is_ever_drawn():
    tokens, _ = draw(torch.full((2, 5), float("nan")), torch.tensor([0.0, 0.9]), 1.0)
    assert int(tokens.max()) < 5
