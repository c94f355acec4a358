"""What an error names of a step whose numbers became infinite or undefined."""

import math

import pytest
import torch

from training.rlhf.durable import RunError
from training.rlhf.finite import Step


def refused(step: Step, **quantities: float | torch.Tensor) -> dict[str, str | float]:
    with pytest.raises(RunError) as found:
        step.check(**quantities)
    assert found.value.code == "not_finite"
    return found.value.values


def test_the_first_that_went_wrong_is_named() -> None:
    step = Step(number=7)
    found = refused(step, kl=1.0, score=torch.tensor([1.0, math.nan]), loss=math.nan)
    assert found == {"step": 7, "quantity": "score"}
    assert refused(step, loss=math.inf) == {"step": 7, "quantity": "loss"}


def test_what_is_finite_goes_on() -> None:
    Step(number=1, ids=["a"]).check(score=torch.tensor([1.0, -2.0]), loss=0.5)


def test_a_few_rows_of_the_batch_are_named_each_once_and_all_counted() -> None:
    step = Step(number=3, file="data/prompts.jsonl", ids=["a", "b", "a", "c", "d"])
    assert refused(step, loss=math.nan) == {
        "step": 3,
        "quantity": "loss",
        "file": "data/prompts.jsonl",
        "rows": "a, b, c, …",
        "count": 4,
    }
    assert refused(Step(number=3, ids=["a", "b", "c"]), loss=math.nan)["rows"] == "a, b, c"


def test_rows_without_ids_are_not_named() -> None:
    assert "rows" not in refused(Step(number=3, ids=["", ""]), loss=math.nan)
