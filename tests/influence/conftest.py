"""The oracle: one sample at a time, plain `torch.autograd.grad`, float64 sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from genmem.kernels import Factors, grad_dot, grad_dot_diagonal
from influence.small_net import Net, Saved, loss, noise_of, randn, states

Float64 = npt.NDArray[np.float64]


@pytest.fixture(autouse=True)
def _same_models() -> None:
    """Weights do not depend on which tests ran before: gradients that nearly cancel keep fewer
    digits of float32 than the tests ask for."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def oracle_gradients(
    model: nn.Module, loss: object, batch: object, noise: Tensor | None
) -> Float64:
    """(n, P): the whole gradient of every sample, evaluated alone."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    first = batch if isinstance(batch, Tensor) else batch[0]
    rows = []
    for i in range(len(first)):
        one = batch[i : i + 1] if isinstance(batch, Tensor) else tuple(t[i : i + 1] for t in batch)
        value = loss(model, one, None if noise is None else noise[i : i + 1])
        found = torch.autograd.grad(value.sum(), parameters, allow_unused=True)
        parts = [
            torch.zeros_like(p) if g is None else (g.to_dense() if g.is_sparse else g)
            for p, g in zip(parameters, found, strict=True)
        ]
        rows.append(torch.cat([part.flatten() for part in parts]).double())
    return torch.stack(rows).numpy()


def assert_products(factors: Factors, truth: Float64, tolerance: float) -> None:
    """|K - K_ref| <= tolerance |g_i| |g_j| for all pairs, and for the norms."""
    assert len(factors) == len(truth)
    norms = np.linalg.norm(truth, axis=1)
    assert np.isfinite(norms).all()
    assert (norms > 0).all(), "an oracle without gradients tests nothing"
    pairs = grad_dot(factors, factors)
    assert pairs.shape == (len(truth), len(truth))
    error = np.abs(pairs - truth @ truth.T)
    assert (error <= tolerance * np.outer(norms, norms)).all(), (
        error / np.outer(norms, norms)
    ).max()
    squares = grad_dot_diagonal(factors, factors)
    assert squares.shape == norms.shape
    assert (np.abs(squares - norms**2) <= tolerance * norms**2).all()


@pytest.fixture
def oracle() -> Callable[..., Float64]:
    return oracle_gradients


@pytest.fixture
def check() -> Callable[..., None]:
    return assert_products


@pytest.fixture
def net() -> nn.Module:
    return Net().double().eval()


@pytest.fixture
def saved(net: nn.Module) -> list[Saved]:
    return [Saved(state, lr) for state, lr in zip(states(net, 3), (0.1, 0.05, 0.02), strict=True)]


@pytest.fixture
def truth(net: nn.Module, saved: list[Saved]) -> Float64:
    """(6, 8) with weights lr x 20 steps x 4 / 8, four draws, ids by position."""
    x, z, total = randn(8, 3), randn(6, 3, seed=1), np.zeros((6, 8))
    for checkpoint in saved:
        model = Net().double().eval()
        model.load_state_dict(checkpoint.weights)
        left = oracle_gradients(model, loss, z, noise_of("tracin test", np.arange(6)))
        right = oracle_gradients(model, loss, x, noise_of("tracin train", np.arange(8)))
        total += checkpoint.lr * 10 * left @ right.T
    return total
