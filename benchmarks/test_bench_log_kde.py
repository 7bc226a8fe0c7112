"""How fast is an exact log-density, and who else is exact? (nats against float64)"""

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest

import genmem
from equal_threads import THREADS
from genmem import reference
from problems import query_mix

# (d, M, N); scikit-learn with one leaf sets the size: it needs about 1 microsecond per pair at 784.
SHAPES = [(2, 2000, 20_000), (32, 1000, 20_000), (784, 256, 20_000), (3072, 32, 8_000)]
GATE = 1e-3  # nats, for the float32 rivals; genmem's own budget is 1e-5


def bandwidth(d: int) -> float:
    return 0.35 * math.sqrt(d / 8)


@functools.cache
def problem(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    d, m, n = shape
    queries, points = query_mix(d, m, n)
    checked = np.unique(np.linspace(0, m - 1, min(m, 200)).astype(int))
    return queries, points, reference.log_kde(queries[checked], points, bandwidth(d))


def genmem_kde(q: np.ndarray, x: np.ndarray, h: float) -> Callable[[], np.ndarray]:
    return lambda: genmem.log_kde(q, x, h, threads=THREADS)


def genmem_avx2(q: np.ndarray, x: np.ndarray, h: float) -> Callable[[], np.ndarray]:
    return lambda: genmem.log_kde(q, x, h, threads=THREADS, backend="avx2")


def sklearn_default(q: np.ndarray, x: np.ndarray, h: float) -> Callable[[], np.ndarray]:
    from sklearn.neighbors import KernelDensity

    fitted = KernelDensity(bandwidth=h).fit(x)
    return lambda: fitted.score_samples(q)


def sklearn_one_leaf(q: np.ndarray, x: np.ndarray, h: float) -> Callable[[], np.ndarray]:
    from sklearn.neighbors import KernelDensity

    fitted = KernelDensity(bandwidth=h, leaf_size=len(x) + 1).fit(x)
    return lambda: fitted.score_samples(q)


def scipy_kde(q: np.ndarray, x: np.ndarray, h: float) -> Callable[[], np.ndarray]:
    from scipy.stats import gaussian_kde

    d = x.shape[1]
    if d > 32:
        pytest.skip("scipy fits a full covariance, and walks pairs one feature at a time: minutes")
    fitted = gaussian_kde(x.T.astype(np.float64))
    fitted.covariance, fitted.cho_cov = np.eye(d) * h * h, np.eye(d) * h
    return lambda: fitted.logpdf(q.T)


def torch_product(q: np.ndarray, x: np.ndarray, h: float) -> Callable[[], np.ndarray]:
    import torch

    torch.set_num_threads(THREADS)
    d, constant = x.shape[1], math.log(len(x)) + x.shape[1] * math.log(h * math.sqrt(2 * math.pi))
    tq, tx = torch.from_numpy(q), torch.from_numpy(x)
    norms = (tx * tx).sum(1)
    assert tx.shape[1] == d

    def run() -> np.ndarray:
        parts = []
        for block in tq.split(1024):
            sq = torch.addmm(norms[None], block, tx.T, alpha=-2)
            sq = sq.add_((block * block).sum(1, keepdim=True)).clamp_(min=0)
            parts.append(torch.logsumexp(sq.mul_(-1 / (2 * h * h)), 1) - constant)
        return torch.cat(parts).double().numpy()

    return run


CONTENDERS = {
    "genmem": genmem_kde,
    "genmem avx2": genmem_avx2,
    "scikit-learn default": sklearn_default,
    "scikit-learn one leaf": sklearn_one_leaf,
    "scipy gaussian_kde": scipy_kde,
    "torch product + logsumexp f32": torch_product,
}


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_log_kde(contest: Callable[..., None], shape: tuple[int, int, int], contender: str) -> None:
    queries, points, truth = problem(shape)
    d, m, n = shape
    checked = np.unique(np.linspace(0, m - 1, min(m, 200)).astype(int))

    def error(log_p: np.ndarray) -> float:
        return float(np.abs(log_p[checked] - truth).max())

    run = CONTENDERS[contender](queries, points, bandwidth(d))
    gate = 1e-5 if contender.startswith("genmem") else GATE
    contest(f"log_kde d={d} M={m} N={n}", contender, run, error, gate, "nats", rounds=3)
