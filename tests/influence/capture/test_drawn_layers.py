"""Every layer kind x drawn hyper-parameters x m draws x shared calls, against float64 autograd.

|K - K_ref| <= 1e-9 |g_i| |g_j| for float64, 1e-5 for float32; self-influence relative to itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from genmem.influence import Capture
from genmem.kernels import Factors, grad_dot, grad_dot_diagonal
from influence.drawn_layers import KINDS, Shared, mean_square
from influence.traps import randn

Oracle = Callable[..., npt.NDArray[np.float64]]
Check = Callable[[Factors, npt.NDArray[np.float64], float], None]

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


def problem(layer: nn.Module, shape: tuple[int, ...], m: int, way: str) -> tuple[Shared, Tensor]:
    """A model with weights and running statistics that no initialisation would give, and noise."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in layer.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) + 0.2)
    twin = None
    if way == "tied":
        twin = copy.deepcopy(layer)
        twin._parameters.update(layer._parameters)
    return Shared(layer, way, twin).eval(), randn(5, m, int(np.prod(shape)), seed=2)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("m", [1, 4, 16])
@pytest.mark.parametrize("kind", KINDS)
@settings(
    deadline=None,
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_products_are_autograds(
    kind: str, m: int, dtype: torch.dtype, oracle: Oracle, check: Check, data: st.DataObject
) -> None:
    layer, shape = KINDS[kind](data.draw)
    way = data.draw(st.sampled_from(["rows", "loop", "tied"]))
    form = data.draw(st.sampled_from(["pairs", "norms", "tokens", "dense"]))
    model, noise = problem(layer, shape, m, way)
    x = randn(5, *shape, seed=1)[[0, 1, 2, 2, 3]]
    noise[3] = noise[2]  # rows 2 and 3 are one sample twice
    model, x, noise = model.to(dtype), x.to(dtype), noise.to(dtype)
    capture = Capture(model, mean_square, form=form)
    factors = capture(x, noise)
    assert capture.materialised == ()
    truth = oracle(model.double(), mean_square, x.double(), noise.double())
    assume((truth != 0).any(1).all())  # padding may crop away all that inputs were spread over
    check(factors, truth, TOLERANCE[dtype])
    # Duplicates stay two samples, of one gradient.
    assert len(factors) == 5
    products, own = grad_dot(factors, factors), grad_dot_diagonal(factors, factors)
    np.testing.assert_allclose(products[:, 3], products[:, 2], rtol=1e-5)
    np.testing.assert_allclose(own[3], own[2], rtol=1e-5)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("m", [1, 4, 16])
@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embeddings(
    padding_idx: int | None, m: int, dtype: torch.dtype, oracle: Oracle, check: Check
) -> None:
    class Looked(nn.Module):
        """Looked up once for the sample, then m times with its draws."""

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(6, 3, padding_idx=padding_idx)

        def forward(self, ids: Tensor, noise: Tensor) -> Tensor:
            calls = [self.table((ids + k) % 6) * noise[:, k, None] for k in range(noise.shape[1])]
            return torch.tanh(torch.stack(calls, 1) + self.table(ids)[:, None])

    model, noise = Looked().to(dtype), randn(4, m, 3, seed=2).to(dtype)
    ids = torch.tensor([[0, 1, 2], [3, 3, 5], [2, 2, 4], [5, 1, 1]])
    for form in ("pairs", "tokens", "dense"):
        capture = Capture(model, mean_square, form=form)
        factors = capture(ids, noise)
        assert capture.materialised == ()
        truth = oracle(model.double(), mean_square, ids, noise.double())
        check(factors, truth, TOLERANCE[dtype])
        model.to(dtype)
