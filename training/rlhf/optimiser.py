"""Adam over named parameters: one clipped step at a time, its whole state as tensors.

Knows nothing of losses. Decoupled weight decay (arXiv 1711.05101) of matrices, not of norms and
biases; 0 makes it plain Adam. Weights in bfloat16 are stepped as float32 copies (arXiv 1710.03740,
section 3.1): a step of 1e-5 would be rounded away from any weight above 0.003.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.rlhf.finite import Step


class Optimiser:
    """The parameters that training changes and what Adam remembers of them."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        *,
        learning_rate: float,
        beta2: float,
        clip: float,
        beta1: float = 0.9,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = dict(parameters)
        self.exact = {
            name: parameter if parameter.dtype == torch.float32 else _exact_copy(parameter)
            for name, parameter in self.parameters.items()
        }
        """What is stepped: the parameters themselves, or float32 copies of them."""
        self.learning_rate = learning_rate
        self.clip = clip
        matrices = [value for value in self.exact.values() if value.ndim > 1]
        others = [value for value in self.exact.values() if value.ndim < 2]
        groups: list[dict[str, Any]] = [
            {"params": matrices},
            {"params": others, "weight_decay": 0.0},
        ]
        self.adam = torch.optim.AdamW(
            groups,
            lr=learning_rate,
            betas=(beta1, beta2),
            eps=epsilon,
            weight_decay=weight_decay,
            fused=True,  # one pass over all weights: a fifth of the time
        )

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.adam.param_groups[0]["lr"])

    def step(self, share: float, *, at: Step) -> float:
        """Change the parameters by their gradients, which are then forgotten.

        share: of the peak learning rate. The norm of all gradients together is clipped to `clip`;
        returns what it was before. Raises RunError("not_finite") naming the step `at`, having
        changed nothing.
        """
        norm = float(nn.utils.clip_grad_norm_(list(self.parameters.values()), self.clip))
        at.check(gradient=norm)
        for group in self.adam.param_groups:
            group["lr"] = self.learning_rate * share
        for name, parameter in self._rounded():
            self.exact[name].grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, parameter in self._rounded():
                parameter.copy_(self.exact[name])
        return norm

    def forget(self) -> None:
        """Drop the gradients that were added up: no step is taken by them."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Copies of the parameters and of Adam's moments, by name."""
        found = {f"{prefix}weights.{n}": p.detach().clone() for n, p in self.exact.items()}
        for name, parameter in self.exact.items():
            for key, value in self.adam.state.get(parameter, {}).items():
                found[f"{prefix}{key}.{name}"] = torch.as_tensor(value).clone()
        return found

    def load(self, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take over what `tensors` gave."""
        with torch.no_grad():
            for name, parameter in self.exact.items():
                parameter.copy_(tensors[f"{prefix}weights.{name}"])
                self.parameters[name].copy_(parameter)
                state = {
                    key: tensors[f"{prefix}{key}.{name}"]
                    for key in ("step", "exp_avg", "exp_avg_sq")
                    if f"{prefix}{key}.{name}" in tensors
                }
                if state:
                    self.adam.state[parameter] = {
                        key: value.to(parameter.device).clone() for key, value in state.items()
                    }

    def _rounded(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that have a copy of more digits, by name."""
        return [(n, p) for n, p in self.parameters.items() if self.exact[n] is not p]


def _exact_copy(parameter: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(parameter.detach().float())
