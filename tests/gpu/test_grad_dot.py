"""Products of many tiles and sections against the processor's."""

import numpy as np
import pytest

from factor_sets import factors
from genmem import kernels

LAYERS = {
    "perceptron": [(1, 784, 512, True), (4, 256, 512, True), (4, 512, 784, True)],
    "convolution": [(196, 144, 32, True)],
    "long samples": [(1500, 33, 17, False)],
}
SAMPLES = {"perceptron": (300, 5000), "convolution": (40, 300), "long samples": (5, 30)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", LAYERS)
def test_products_are_the_processors(case: str, dtype: type, rng: np.random.Generator) -> None:
    m, n = SAMPLES[case]
    queries, points = (
        factors(rng, count, LAYERS[case], ragged=True, dtype=dtype) for count in (m, n)
    )
    norms = [np.sqrt(kernels.grad_dot_diagonal(side, side)) for side in (queries, points)]
    got = kernels.grad_products(queries, points, backend="cuda")
    error = np.abs(got - kernels.grad_products(queries, points))
    unit = 1e-13 if dtype is np.float64 else 1e-6
    assert (error <= unit * np.outer(*norms) + 1e-300).all()
    along = kernels.grad_dot_diagonal(points, points, backend="cuda")
    assert (np.abs(along - norms[1] ** 2) <= 1e-13 * norms[1] ** 2 + 1e-300).all()
    square = kernels.grad_dot(points, points, symmetric=True, backend="cuda")
    assert (square == square.T).all()


def test_the_strongest_are_those_of_float64(rng: np.random.Generator) -> None:
    queries = factors(rng, 60, LAYERS["perceptron"], ragged=True, dtype=np.float32)
    points = factors(rng, 5000, LAYERS["perceptron"], ragged=True, dtype=np.float32)
    got = kernels.grad_dot(queries, points, k=10, screen=True, backend="cuda")
    want = kernels.grad_dot(queries, points, k=10, screen=True)
    assert (got.indices == want.indices).all()


@pytest.mark.parametrize("tol", [0.05, 1e-3, 1e-4])
@pytest.mark.parametrize("case", LAYERS)
def test_products_keep_a_tolerance(case: str, tol: float, rng: np.random.Generator) -> None:
    m, n = SAMPLES[case]
    queries, points = (
        factors(rng, count, LAYERS[case], ragged=True, dtype=np.float32) for count in (m, n)
    )
    norms = [np.sqrt(kernels.grad_dot_diagonal(side, side)) for side in (queries, points)]
    got = kernels.grad_products(queries, points, tol=tol, backend="cuda")
    want = kernels.grad_products(queries, points)
    assert (np.abs(got - want) <= (tol + 1e-6) * np.outer(*norms) + 1e-300).all()
    part = kernels.grad_products(
        queries.samples(1, m), points.samples(3, n - 2), tol=tol, backend="cuda"
    )
    assert (part == got[1:, 3 : n - 2]).all()


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("k", [1, 10, 700, 1500])
def test_the_strongest_are_those_of_all(k: int, largest: bool, rng: np.random.Generator) -> None:
    """Ties and copies among them, beyond a tile of 32,768, on the card and for many on the host."""
    layers = [(2, 30, 20, True)]
    queries, points = (
        factors(rng, count, layers, ragged=True, dtype=np.float32) for count in (40, 40_000)
    )
    for part in (points.layers[0].inputs, points.layers[0].gradients):
        part[3000:4000] = part[:1000]
    full = kernels.grad_products(queries, points, backend="cuda")
    got = kernels.grad_dot(queries, points, k=k, largest=largest, backend="cuda")
    order = np.argsort(-full if largest else full, axis=1, kind="stable")[:, :k]
    assert (got.indices == order).all()
    assert (got.scores == np.take_along_axis(full, order, axis=1).astype(np.float32)).all()


def test_tensors_as_factors(rng: np.random.Generator) -> None:
    """What lies there stays there, and so do the products."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch sees no CUDA device")
    device = torch.device("cuda", torch.cuda.current_device())
    host = factors(rng, 600, LAYERS["perceptron"], ragged=True, dtype=np.float32)
    there = kernels.Factors(
        tuple(
            layer._replace(
                inputs=torch.from_numpy(layer.inputs).to(device),
                gradients=torch.from_numpy(layer.gradients).to(device),
            )
            for layer in host.layers
        )
    )
    want = kernels.grad_dot(host, host, symmetric=True, backend="cuda")
    got = kernels.grad_dot(there, there, symmetric=True)
    assert got.device == device
    assert torch.equal(got.cpu(), torch.from_numpy(want))
    top = kernels.grad_dot(there, there, k=5, screen=True)
    assert top.indices.device == device
    want_top = kernels.grad_dot(host, host, k=5, screen=True)
    assert torch.equal(top.indices.cpu(), torch.from_numpy(want_top.indices))
    some = there.samples(10, 20)
    assert torch.equal(kernels.grad_dot(some, there).cpu(), torch.from_numpy(want[10:20]))
    there.layers[1].gradients[3, 2] = float("nan")
    with pytest.raises(ValueError, match="queries: gradients of layer 1 row 3 holds nan"):
        kernels.grad_dot(there, there)
