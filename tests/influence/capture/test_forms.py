"""The cheaper of two exact forms, and the golden values of a linear layer with bias."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from genmem.influence import capture_factors
from genmem.influence.capture.forms import wants_tokens
from genmem.kernels import Factors, grad_dot, grad_dot_diagonal

# Golden values of two samples with two and three tokens.
INPUTS = ([(1, 2, 0), (0, 1, -1)], [(2, 0, 1), (1, 1, 1), (0, -1, 2)])
GRADIENTS = ([(0.5, -1), (2, 1)], [(1, 1), (-1, 0.5), (0, 3)])


def golden_factors(form: str, sample: int) -> Factors:
    """A linear layer that sees the sample's tokens, under a loss with these output gradients."""
    model = nn.Linear(3, 2).double()
    x = torch.tensor([INPUTS[sample]], dtype=torch.float64)
    g = torch.tensor([GRADIENTS[sample]], dtype=torch.float64)
    return capture_factors(model, lambda m, x, _: (m(x) * g).sum((1, 2)), x, form=form)


@pytest.mark.parametrize("form", ["tokens", "dense"])
def test_golden_product_and_norms(form: str) -> None:
    first, second = golden_factors(form, 0), golden_factors(form, 1)
    np.testing.assert_allclose(grad_dot(first, second), [[-10.0]], rtol=1e-14)
    np.testing.assert_allclose(grad_dot_diagonal(first, first), [22.5], rtol=1e-14)
    np.testing.assert_allclose(grad_dot_diagonal(second, second), [91.0], rtol=1e-14)


def test_rule_of_784_to_512() -> None:
    # H = 784 * 512 / 1296 = 309.7: pairs to 22 tokens, norms to 154.
    assert wants_tokens("pairs", 22, 784, 512)
    assert not wants_tokens("pairs", 23, 784, 512)
    assert wants_tokens("norms", 154, 784, 512)
    assert not wants_tokens("norms", 155, 784, 512)
    assert wants_tokens("tokens", 10**6, 1, 1)
    assert not wants_tokens("dense", 1, 784, 512)


@pytest.mark.parametrize("bias", [True, False])
def test_a_bias_counts_as_an_input(bias: bool) -> None:
    # 3 tokens: 9 (d + p) is 198 of 1.6 d p = 193.6 at d = p = 11, and 207 of 211.2 at d = 12.
    x = torch.randn(2, 3, 11)
    layers = capture_factors(
        nn.Linear(11, 11, bias=bias), lambda m, x, _: m(x).square().sum((1, 2)), x
    ).layers
    assert layers[0].inputs.shape == ((6, 11) if bias else (2, 11 * 11))


def test_the_rule_chooses_per_layer() -> None:
    # One token of width 6 stays tokens; 16 tokens of the same layer cost less as a gradient.
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Flatten(), nn.Linear(96, 8)).double()
    x = torch.randn(2, 16, 6, dtype=torch.float64)
    layers = capture_factors(model, lambda m, x, _: m(x).square().sum(1), x).layers
    assert [layer.name for layer in layers] == ["0.weight", "0.bias", "3.weight"]
    assert [layer.inputs.shape for layer in layers] == [(2, 6 * 6), (2, 6), (2, 96)]
    assert [layer.bias for layer in layers] == [False, False, True]
