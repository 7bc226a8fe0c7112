"""The k nearest neighbours as others compute them: queries (M, d), points (N, d) in float32.

Each gives a call that returns distances (M, k), ascending, and indices (M, k).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Answer = tuple[np.ndarray, np.ndarray]
Run = Callable[[], Answer]


def faiss_knn(q: np.ndarray, x: np.ndarray, k: int, threads: int) -> Run:
    """Below M d = 128,000 by differences, above by a float32 matrix product."""
    faiss = pytest.importorskip("faiss")

    def run() -> Answer:
        sq, indices = faiss.knn(q, x, k)
        return np.sqrt(np.maximum(sq, 0)), indices

    return run


def faiss_product(q: np.ndarray, x: np.ndarray, k: int, threads: int) -> Run:
    """faiss made to multiply matrices for few queries too."""
    faiss = pytest.importorskip("faiss")

    def run() -> Answer:
        usual = faiss.cvar.distance_compute_blas_threshold
        faiss.cvar.distance_compute_blas_threshold = 0
        try:
            sq, indices = faiss.knn(q, x, k)
        finally:
            faiss.cvar.distance_compute_blas_threshold = usual
        return np.sqrt(np.maximum(sq, 0)), indices

    return run


def sklearn_default(q: np.ndarray, x: np.ndarray, k: int, threads: int) -> Run:
    """algorithm="auto": a k-d tree of leaf_size 30 up to d = 15, else a float64 matrix product."""
    from sklearn.neighbors import NearestNeighbors

    fitted = NearestNeighbors(n_neighbors=k).fit(x)
    return lambda: fitted.kneighbors(q)


def sklearn_one_leaf(q: np.ndarray, x: np.ndarray, k: int, threads: int) -> Run:
    """A tree of one leaf: every distance by differences in float64, one query after the other."""
    from sklearn.neighbors import NearestNeighbors

    fitted = NearestNeighbors(n_neighbors=k, algorithm="ball_tree", leaf_size=len(x) + 1).fit(x)
    return lambda: fitted.kneighbors(q)


def scipy_tree(q: np.ndarray, x: np.ndarray, k: int, threads: int) -> Run:
    """For few dimensions: above some 20 a k-d tree visits every leaf."""
    from scipy.spatial import cKDTree

    tree = cKDTree(x)
    return lambda: tree.query(q, k, workers=threads)


def scipy_cdist(q: np.ndarray, x: np.ndarray, k: int, threads: int) -> Run:
    """Differences in float64; one thread whatever `threads` says."""
    from scipy.spatial.distance import cdist

    q64, x64 = q.astype(np.float64), x.astype(np.float64)

    def run() -> Answer:
        distances = cdist(q64, x64)
        some = np.argpartition(distances, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(distances, some, 1)
        order = np.lexsort((some, near))
        return np.take_along_axis(near, order, 1), np.take_along_axis(some, order, 1)

    return run


def torch_cdist(q: np.ndarray, x: np.ndarray, k: int, threads: int) -> Run:
    import torch

    tq, tx = torch.from_numpy(q), torch.from_numpy(x)

    def run() -> Answer:
        parts = [torch.cdist(block, tx).topk(k, largest=False) for block in tq.split(256)]
        return tuple(torch.cat([p[side] for p in parts]).numpy() for side in (0, 1))

    return run


def torch_product(q: np.ndarray, x: np.ndarray, k: int, threads: int) -> Run:
    """A float32 matrix product and topk, nothing fused."""
    import torch

    tq, tx = torch.from_numpy(q), torch.from_numpy(x)
    norms = (tx * tx).sum(1)

    def run() -> Answer:
        parts = []
        for block in tq.split(256):
            sq = torch.addmm(norms[None], block, tx.T, alpha=-2)
            parts.append(sq.topk(k, largest=False))
        sq = torch.cat([p.values for p in parts]) + (tq * tq).sum(1, keepdim=True)
        return sq.clamp_(min=0).sqrt_().numpy(), torch.cat([p.indices for p in parts]).numpy()

    return run


def pykeops(q: np.ndarray, x: np.ndarray, k: int, threads: int) -> Run:
    lazy: Any = pytest.importorskip("pykeops.torch").LazyTensor
    import torch

    left = lazy(torch.from_numpy(q)[:, None, :])
    right = lazy(torch.from_numpy(x)[None, :, :])

    def run() -> Answer:
        sq, indices = ((left - right) ** 2).sum(-1).Kmin_argKmin(k, dim=1)
        return sq.clamp_(min=0).sqrt_().numpy(), indices.numpy()

    return run


def usearch(q: np.ndarray, x: np.ndarray, k: int, threads: int) -> Run:
    index = pytest.importorskip("usearch.index")

    def run() -> Answer:
        found = index.search(x, q, k, index.MetricKind.L2sq, exact=True, threads=threads)
        sq, keys = np.atleast_2d(found.distances), np.atleast_2d(found.keys)
        return np.sqrt(sq), keys.astype(np.int64)

    return run
