"""The forward pass in pieces gives what transformers gives in one."""

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from training.rlhf import layers
from training.rlhf.layers import (
    completion_logprobs,
    embed,
    hidden_states,
    make_batch,
    predicting,
    run_layers,
    token_logprobs,
)
from training.rlhf.models import add_lora, load_language_model, unfreeze
from training.rlhf.randomness import generator
from training.rlhf.tokenizer import byte_tokenizer

PROMPTS = [[5, 6, 7, 8], [9, 10, 11, 12, 13, 14], [15]]
COMPLETIONS = [[20, 21, 22], [23], [24, 25, 26, 27], [], [30, 31]]
OWNER = [0, 1, 1, 0, 2]

SHAPE = {
    "vocab_size": 259,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
}
FAMILY = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "llama, biases, tied, scaled rope": lambda: LlamaForCausalLM(
        LlamaConfig(
            **SHAPE,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
            head_dim=32,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        )
    ),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=None)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=32)),
}


def reference(model, prompt, completion, temperature):
    """Log-probabilities, entropies and states of one unpadded sequence, by transformers alone."""
    output = model(torch.tensor([prompt + completion]), output_hidden_states=True)
    logits = output.logits[0, len(prompt) - 1 : -1] / temperature
    logp = logits.log_softmax(-1)
    chosen = logp.gather(1, torch.tensor(completion)[:, None]).squeeze(1)
    states = [state[0, len(prompt) :] for state in output.hidden_states]
    return chosen, -(logp.exp() * logp).sum(-1), states


def check_against_transformers(lm, model, atol):
    batch = make_batch(lm, PROMPTS, COMPLETIONS, OWNER)
    with torch.no_grad():
        states = hidden_states(lm, batch, [0, 1, lm.layers])
        ours = completion_logprobs(lm, batch, states[lm.layers], 0.7)
        for row, completion in enumerate(COMPLETIONS):
            if not completion:
                continue
            size = len(completion)
            logp, entropy, theirs = reference(model, PROMPTS[OWNER[row]], completion, 0.7)
            assert torch.allclose(ours.logprobs[row, :size], logp, atol=atol)
            assert torch.allclose(ours.entropy[row, :size], entropy, atol=atol)
            for layer in (0, 1):
                assert torch.allclose(
                    states[layer].completion[row, :size], theirs[layer], atol=atol
                )
    assert (ours.logprobs[~batch.mask] == 0).all()
    assert (ours.entropy[~batch.mask] == 0).all()


@pytest.mark.model
@pytest.mark.parametrize("name", FAMILY)
def test_each_family_computes_what_transformers_computes(name, tmp_path):
    torch.manual_seed(0)
    model = FAMILY[name]().eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    lm = load_language_model(tmp_path, device="cpu", precision="float32")
    check_against_transformers(lm, model, 1e-4)


def test_the_tiny_model_too(tiny):
    check_against_transformers(tiny, tiny.model, 1e-4)


@pytest.mark.model
def test_bfloat16_is_close(tiny, tiny_folder):
    half = load_language_model(tiny_folder, device="cpu", precision="bfloat16")
    assert half.head.dtype == torch.bfloat16
    check_against_transformers(half, tiny.model, 0.15)


def test_padding_changes_nothing(tiny):
    alone = make_batch(tiny, PROMPTS[:1], COMPLETIONS[:1], [0])
    among = make_batch(tiny, PROMPTS, COMPLETIONS, OWNER)
    with torch.no_grad():
        one = hidden_states(tiny, alone, [4])[4]
        many = hidden_states(tiny, among, [4])[4]
    assert torch.allclose(one.completion[0], many.completion[0, :3], atol=1e-5)
    assert torch.allclose(one.prompt[0], many.prompt[0, -4:], atol=1e-5)


def test_layers_can_be_run_piece_by_piece(tiny):
    batch = make_batch(tiny, PROMPTS, COMPLETIONS, OWNER)
    with torch.no_grad():
        whole = hidden_states(tiny, batch, [2, 4])
        lower = run_layers(tiny, batch, embed(tiny, batch), 0, 2)
        upper = run_layers(tiny, batch, lower, 2, 4)
    assert torch.equal(lower.completion, whole[2].completion)
    assert torch.equal(upper.completion, whole[4].completion)
    assert run_layers(tiny, batch, lower, 2, 2) is lower


def test_the_state_that_predicts_a_token_is_the_one_before_it(tiny):
    batch = make_batch(tiny, PROMPTS, COMPLETIONS, OWNER)
    states = hidden_states(tiny, batch, [0])[0]
    before = predicting(states, batch)
    assert torch.equal(before[2, 0], states.prompt[1, -1])
    assert torch.equal(before[2, 1:], states.completion[2, :-1])


@pytest.mark.parametrize("learn_entropy", [False, True])
@pytest.mark.parametrize("rows", [1, 5, 300])
def test_the_frozen_heads_gradient_is_autograds(tiny, rows, learn_entropy, monkeypatch):
    monkeypatch.setattr(layers, "CHUNK_ROWS", 64)
    states = torch.randn(rows, tiny.width, generator=generator(1)).requires_grad_()
    targets = torch.randint(0, 259, (rows,), generator=generator(2))
    weights = torch.randn(rows, generator=generator(3))

    bonus = torch.rand(rows, generator=generator(4)) if learn_entropy else torch.zeros(rows)
    ours = token_logprobs(tiny, states, targets, 0.8, learn_entropy=learn_entropy)
    (ours.logprobs * weights + ours.entropy * bonus).sum().backward()
    grad, states.grad = states.grad, None
    norm = tiny.model.model.norm(states)
    logp = (tiny.model.lm_head(norm) / 0.8).log_softmax(-1)
    expected = logp.gather(1, targets[:, None]).squeeze(1)
    entropy = -(logp.exp() * logp).sum(-1)
    (expected * weights + entropy * bonus).sum().backward()
    assert torch.allclose(ours.logprobs, expected, atol=1e-5)
    assert torch.allclose(ours.entropy, entropy, atol=1e-5)
    assert torch.allclose(grad, states.grad, atol=1e-5)
    assert ours.entropy.requires_grad == learn_entropy


@pytest.mark.model
def test_a_trainable_head_gets_its_gradient(tiny_folder):
    lm = load_language_model(tiny_folder, device="cpu", precision="float32")
    unfreeze(lm)
    states = torch.randn(3, lm.width, generator=generator(1))
    targets = torch.tensor([1, 2, 3])
    token_logprobs(lm, states, targets).logprobs.sum().backward()
    assert lm.head.grad is not None
    assert lm.head.grad.abs().sum() > 0
    lm.head.grad = None
    assert not token_logprobs(lm, states, targets).entropy.requires_grad
    token_logprobs(lm, states, targets, learn_entropy=True).entropy.sum().backward()
    assert lm.head.grad.abs().sum() > 0


@pytest.mark.model
def test_an_adapters_gradient_is_the_slope(tiny):
    """Central differences on the log-probability of a whole batch."""
    lm = add_lora(tiny, 2, 2.0, 0.5, generator(0))
    with torch.no_grad():
        for parameter in lm.adapter.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator(4)) * 0.1)
    batch = make_batch(lm, PROMPTS, COMPLETIONS, OWNER)
    with torch.no_grad():
        lower = hidden_states(lm, batch, [2])[2]

    def total():
        hidden = run_layers(lm, batch, lower, 2, lm.layers)
        return completion_logprobs(lm, batch, hidden).logprobs.sum()

    total().backward()
    for parameter in lm.adapter.parameters():
        direction = torch.randn(parameter.shape, generator=generator(9))
        direction /= direction.norm()
        with torch.no_grad():
            parameter.add_(direction * 1e-2)
            above = total()
            parameter.sub_(direction * 2e-2)
            below = total()
            parameter.add_(direction * 1e-2)
        slope = (above - below) / 2e-2
        assert torch.allclose((parameter.grad * direction).sum(), slope, rtol=0.03, atol=0.01)


def test_a_prompt_needs_a_token(tiny):
    with pytest.raises(ValueError, match="at least one token"):
        make_batch(tiny, [[]], [[1]], [0])


def test_prompts_alone_are_a_batch(tiny):
    batch = make_batch(tiny, PROMPTS, [], [])
    with torch.no_grad():
        states = hidden_states(tiny, batch, [4])[4]
        expected = tiny.model.model(torch.tensor([PROMPTS[1]]))[0]
    assert states.completion.shape == (0, 0, 64)
    assert torch.allclose(layers.final_norm(tiny, states.prompt[1]), expected[0], atol=1e-5)
