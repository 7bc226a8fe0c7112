"""How fast are exact neighbours, and how exact are the fast ones? (a copy must be at 0)"""

import functools
from collections.abc import Callable

import numpy as np
import pytest

import genmem
from equal_threads import THREADS
from genmem import reference
from problems import query_mix

K = 10
# (d, M, N); M d >= 128,000 at d = 784, so that faiss takes its matrix-product path.
SHAPES = [
    (2, 1000, 20_000),
    (32, 1000, 20_000),
    (784, 1000, 60_000),
    (784, 1, 60_000),
    (3072, 64, 8_000),
]
GATE = 1e-4  # distance, at unit variance


@functools.cache
def problem(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    d, m, n = shape
    queries, points = query_mix(d, m, n)
    # The truth for at most 200 queries: float64 brute force of all would take minutes.
    checked = np.unique(np.linspace(0, m - 1, min(m, 200)).astype(int))
    return queries, points, reference.knn(queries[checked], points, K)[0]


def genmem_knn(queries: np.ndarray, points: np.ndarray) -> Callable[[], np.ndarray]:
    return lambda: genmem.knn(queries, points, K, threads=THREADS).distances


def genmem_avx2(queries: np.ndarray, points: np.ndarray) -> Callable[[], np.ndarray]:
    return lambda: genmem.knn(queries, points, K, threads=THREADS, backend="avx2").distances


def faiss_flat(queries: np.ndarray, points: np.ndarray) -> Callable[[], np.ndarray]:
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points)
    return lambda: np.sqrt(np.maximum(index.search(queries, K)[0], 0))


def sklearn_brute(queries: np.ndarray, points: np.ndarray) -> Callable[[], np.ndarray]:
    from sklearn.neighbors import NearestNeighbors

    fitted = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=THREADS).fit(points)
    return lambda: fitted.kneighbors(queries)[0]


def scipy_tree(queries: np.ndarray, points: np.ndarray) -> Callable[[], np.ndarray]:
    from scipy.spatial import cKDTree

    if points.shape[1] > 32:
        pytest.skip("a k-d tree visits every leaf above some 20 dimensions: minutes")
    tree = cKDTree(points)
    return lambda: tree.query(queries, K, workers=THREADS)[0]


def torch_cdist(queries: np.ndarray, points: np.ndarray) -> Callable[[], np.ndarray]:
    import torch

    torch.set_num_threads(THREADS)
    q, x = torch.from_numpy(queries), torch.from_numpy(points)

    def run() -> np.ndarray:
        parts = [torch.cdist(b, x).topk(K, largest=False).values for b in q.split(256)]
        return torch.cat(parts).numpy()

    return run


CONTENDERS = {
    "genmem": genmem_knn,
    "genmem avx2": genmem_avx2,
    "faiss-cpu IndexFlatL2": faiss_flat,
    "scikit-learn brute": sklearn_brute,
    "scipy cKDTree": scipy_tree,
    "torch cdist + topk": torch_cdist,
}


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_knn(contest: Callable[..., None], shape: tuple[int, int, int], contender: str) -> None:
    queries, points, truth = problem(shape)
    d, m, n = shape
    checked = np.unique(np.linspace(0, m - 1, min(m, 200)).astype(int))

    def error(distances: np.ndarray) -> float:
        return float(np.abs(distances[checked].astype(np.float64) - truth).max())

    run = CONTENDERS[contender](queries, points)
    contest(f"knn k={K} d={d} M={m} N={n}", contender, run, error, GATE, "distance", rounds=3)
