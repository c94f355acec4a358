"""One optimiser step: Adam by hand, float32 copies of bfloat16 weights, the state and back."""

import pytest
import torch
from torch import nn

from training.rlhf.durable import RunError
from training.rlhf.finite import Step
from training.rlhf.optimiser import Optimiser


def optimiser_of(parameter, **values):
    numbers = {"learning_rate": 1e-5, "beta2": 0.95, "clip": 1e9} | values
    return Optimiser({"w": parameter}, **numbers)


def take_steps(optimiser, parameter, count, gradient=1.0):
    for number in range(1, count + 1):
        parameter.grad = torch.full_like(parameter, gradient)
        optimiser.step(1.0, at=Step(number=number))


def test_adams_first_step_is_the_learning_rate_against_the_gradient():
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimiser = optimiser_of(weight, learning_rate=0.1)
    take_steps(optimiser, weight, 1, gradient=3.0)
    # m̂ = g and v̂ = g² after one step, so the step is lr · g / (|g| + 1e-8).
    assert weight.tolist() == pytest.approx([0.9, -2.1], abs=1e-6)


def test_steps_too_small_for_bfloat16_add_up_all_the_same():
    weight = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimiser = optimiser_of(weight)
    take_steps(optimiser, weight, 100)
    # Below 1 bfloat16 has steps of 2⁻⁸ = 0.0039: a step of 1e-5 alone is rounded away.
    assert weight.tolist() == [1.0] * 3
    take_steps(optimiser, weight, 300)
    assert weight.tolist() == [1.0 - 2**-8] * 3


def test_the_state_of_bfloat16_weights_keeps_all_digits():
    def fresh():
        weight = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
        return weight, optimiser_of(weight)

    straight, one = fresh()
    take_steps(one, straight, 400)
    first, before = fresh()
    take_steps(before, first, 150)
    resumed, after = fresh()
    after.load(before.tensors("x."), "x.")
    take_steps(after, resumed, 250)
    assert torch.equal(resumed, straight)
    assert torch.equal(after.tensors()["weights.w"], one.tensors()["weights.w"])


def test_the_norm_of_all_gradients_is_clipped_and_told():
    weight = nn.Parameter(torch.zeros(4))
    optimiser = optimiser_of(weight, clip=1.0)
    weight.grad = torch.full((4,), 5.0)
    assert optimiser.step(1.0, at=Step(number=1)) == pytest.approx(10.0)


def test_a_gradient_that_is_not_finite_changes_nothing_and_names_the_step():
    weight = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    optimiser = optimiser_of(weight)
    weight.grad = torch.full_like(weight, float("nan"))
    with pytest.raises(RunError, match="step=7"):
        optimiser.step(1.0, at=Step(number=7))
    assert weight.tolist() == [1.0, 1.0]
