"""Layers without a formula of their own, m draws, called in one go or in a loop: by autograd."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from genmem.influence import Capture
from genmem.kernels import Factors
from influence.drawn_layers import Shared, mean_square
from influence.traps import randn, seeded

Oracle = Callable[..., npt.NDArray[np.float64]]
Check = Callable[[Factors, npt.NDArray[np.float64], float], None]


class First(nn.Module):
    """The first of the outputs of a layer."""

    def __init__(self, layer: nn.Module, *, thrice: bool = False) -> None:
        super().__init__()
        self.layer, self.thrice = layer, thrice

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(*([x] * (3 if self.thrice else 1)))[0]


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Bilinear(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, torch.cos(x))


class Scaled(nn.Module):
    """A scalar, a vector, a frozen one, and one of no numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.tensor(0.8)), nn.Parameter(torch.rand(4))
        self.fixed = nn.Parameter(torch.rand(4), requires_grad=False)
        self.empty = nn.Parameter(torch.empty(0))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.gain * x + self.shift) * self.fixed + self.empty.sum()


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "lstm": (lambda: First(nn.LSTM(4, 3, 2, batch_first=True, bidirectional=True)), (3, 4)),
    "gru": (lambda: First(nn.GRU(4, 3, batch_first=True, bias=False)), (3, 4)),
    "rnn cell": (lambda: nn.RNNCell(4, 3), (4,)),
    "attention": (
        lambda: First(nn.MultiheadAttention(4, 2, batch_first=True), thrice=True),
        (3, 4),
    ),
    "attention with added keys": (
        lambda: First(nn.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True), thrice=True),
        (3, 4),
    ),
    "transformer": (lambda: nn.TransformerEncoderLayer(4, 2, 5, 0.0, batch_first=True), (3, 4)),
    "bilinear": (Pair, (4,)),
    "prelu": (lambda: nn.PReLU(4), (4, 3)),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Conv1d(4, 3, 2)), (4, 3)),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Linear(4, 3)), (4,)),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(4, 4)), (4,)),
    "free parameters": (Scaled, (4,)),
}


@pytest.mark.parametrize("m", [1, 4, 16])
@pytest.mark.parametrize("way", ["rows", "loop"])
@pytest.mark.parametrize("kind", LAYERS)
def test_products_are_autograds(kind: str, way: str, m: int, oracle: Oracle, check: Check) -> None:
    make, shape = LAYERS[kind]
    model = seeded(lambda: Shared(make(), way))
    x, noise = randn(4, *shape), randn(4, m, int(np.prod(shape)), seed=1)
    x[2], noise[2] = x[1], noise[1]  # a sample twice
    capture = Capture(model, mean_square)
    factors = capture(x, noise)
    assert capture.materialised
    check(factors, oracle(model, mean_square, x, noise), 1e-9)
    single = Capture(model.float(), mean_square)(x.float(), noise.float())
    check(single, oracle(model.double(), mean_square, x, noise), 1e-5)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_embeddings(mode: str, oracle: Oracle, check: Check) -> None:
    model = seeded(lambda: nn.EmbeddingBag(7, 3, mode=mode, padding_idx=2))
    ids = torch.tensor([[0, 1, 2], [3, 3, 5], [2, 6, 4], [5, 1, 1]])

    def loss(model: nn.Module, ids: Tensor, noise: None) -> Tensor:
        return (model(ids) + 1).square().sum(1)

    check(Capture(model, loss)(ids), oracle(model, loss, ids, None), 1e-9)


@pytest.mark.parametrize("how", ["script", "trace"])
def test_compiled_graphs_are_captured_by_autograd(how: str, oracle: Oracle, check: Check) -> None:
    plain = seeded(lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)))
    x = randn(6, 4)
    make = torch.jit.script if how == "script" else lambda m: torch.jit.trace(m, x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = make(plain)
    buffers = [b.clone() for b in model.buffers()]

    def loss(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        return model(x).square().sum(1)

    capture = Capture(model, loss)
    check(capture(x), oracle(plain, loss, x, None), 1e-11)
    assert len(capture.materialised) == 6
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), buffers, strict=True))
