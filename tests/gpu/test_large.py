"""Problems of many tiles and blocks, which the emulated card would take hours for."""

import numpy as np
import pytest

from genmem import kernels


@pytest.mark.parametrize("kind", ["float32", "bytes", "sorted", "crowded"])
def test_neighbours_are_the_processors(kind: str, rng: np.random.Generator) -> None:
    points = rng.standard_normal((60_000, 784)).astype(np.float32)
    if kind == "bytes":
        points = rng.integers(0, 256, points.shape).astype(np.uint8)
    elif kind == "sorted":
        points = points[np.argsort(-np.abs(points).sum(axis=1))]
    elif kind == "crowded":
        points[::7] = points[3]
    queries = points[rng.integers(0, 60_000, 3000)].copy()
    sq, indices = kernels.nearest_sq(queries, points, 10, backend="cuda")
    want = kernels.nearest_sq(queries[:300], points, 10)
    assert (sq[:300] == want[0]).all()
    assert (indices[:300] == want[1]).all()
    assert (sq[:, 0] == 0).all()


@pytest.mark.parametrize("k", [1, 100, 1000, 1500])
def test_any_k(k: int, rng: np.random.Generator) -> None:
    points = rng.standard_normal((30_000, 32)).astype(np.float32)
    got = kernels.nearest_sq(points[:500], points, k, exclude=np.arange(500), backend="cuda")
    want = kernels.nearest_sq(points[:500], points, k, exclude=np.arange(500))
    assert (got[0] == want[0]).all()
    assert (got[1] == want[1]).all()


@pytest.mark.parametrize("d", [2, 50, 784])
def test_densities_are_the_processors(d: int, rng: np.random.Generator) -> None:
    points = rng.standard_normal((60_000, d)).astype(np.float32)
    queries = points[:2000] + np.float32(0.1)
    h = [0.3, 1.0, 3.0]
    got = kernels.log_kde(queries, points, h, backend="cuda")
    want = kernels.log_kde(queries[:100], points, h)
    assert np.abs(got[:, :100] - want).max() <= 1e-9 * max(1.0, np.abs(want).max() / 1e3)
