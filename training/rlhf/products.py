"""Frozen matrices in the layout that a CPU's kernels read, for many products with few rows each.

Knows matrices, not models. Sampling multiplies by every weight of a model for each token, with as
few rows as there are completions. The usual product then lays the whole matrix out anew each time,
which takes as long as the product itself; here that is done once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_ops: Any = torch.ops.mkldnn
"""What torch's own compiler computes with, for want of a public way; torch is pinned exactly."""


class Product:
    """x → x · weightᵀ + bias for one matrix [out, in], laid out anew where that is faster.

    A CPU with oneDNN gets a copy of the matrix, which a later change of `weight` does not reach:
    keep it no longer than the weights stay as they are. Elsewhere it is `F.linear`. No gradients.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, rows: int, *, as_it_is: bool = False
    ) -> None:
        """rows: how many a product has; others may come, but the layout is chosen for these.

        as_it_is: without a copy.
        """
        self.dtype = weight.dtype
        self._weight, self._bias = weight.detach(), bias
        on_cpu = weight.device.type == "cpu" and not as_it_is
        self._laid_out = on_cpu and _has_kernels(weight.dtype)
        if self._laid_out:
            self._weight = _ops._reorder_linear_weight(self._weight, rows)  # noqa: SLF001

    def __call__(self, x: Tensor) -> Tensor:
        """x: [..., in] of the matrix's dtype → [..., out]."""
        if not self._laid_out:
            return F.linear(x, self._weight, self._bias)
        alone = ("none", (), "")  # nothing is computed with the product
        operands = (x, self._weight, self._bias)
        product: Tensor = _ops._linear_pointwise(*operands, *alone)  # noqa: SLF001
        return product


def _has_kernels(dtype: torch.dtype) -> bool:
    """Whether this machine's oneDNN multiplies by such matrices."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if dtype != torch.float32:
        available = available and bool(_ops._is_mkldnn_bf16_supported())  # noqa: SLF001
    return available
