"""Matrices laid out anew for sampling: the same products."""

import pytest
import torch

from training.rlhf.products import Product


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 96])
def test_its_products_are_those_of_the_matrix(precision, biased, rows):
    torch.manual_seed(0)
    weight, bias = torch.randn(50, 24), torch.randn(50) if biased else None
    low = None if bias is None else bias.to(precision)
    product = Product(torch.nn.Parameter(weight.to(precision)), low, rows=96)
    for shape in ((rows, 24), (rows, 3, 24)):
        x = torch.randn(shape)
        exact = x.double() @ weight.double().T + (0 if bias is None else bias.double())
        error = 1e-5 if precision == torch.float32 else 0.2  # sums of 24 with eight bits each
        found = product(x.to(precision))
        assert found.dtype == precision
        assert (found.double() - exact).abs().max() < error


def test_where_there_are_no_such_kernels_it_is_the_plain_product(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    weight, x = torch.randn(5, 3), torch.randn(4, 3)
    assert torch.equal(Product(weight, None, rows=4)(x), torch.nn.functional.linear(x, weight))
