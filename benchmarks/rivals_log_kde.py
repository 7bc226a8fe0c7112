"""Log-densities as others compute them: queries (M, d), points (N, d) in float32, bandwidth h.

Each gives a call that returns log p in nats, (M,); `torch_list` (H, M), gradients (M, d).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Run = Callable[[], np.ndarray]

# Queries whose squared distances are held at a time.
BLOCK = 256


def log_mass(x: np.ndarray, h: float) -> float:
    return math.log(len(x)) + x.shape[1] * math.log(h * math.sqrt(2 * math.pi))


def torch_mm(q: np.ndarray, x: np.ndarray, h: float) -> Callable[[], Any]:
    """The bare float32 product of the shape: no norms, no exponentials, no sums."""
    import torch

    tq, tx, out = torch.from_numpy(q), torch.from_numpy(x), torch.empty(len(q), len(x))
    return lambda: torch.mm(tq, tx.T, out=out)


def sq_blocks(q: np.ndarray, x: np.ndarray) -> Callable[[], Any]:
    """Squared distances of blocks of queries by a float32 matrix product."""
    import torch

    tq, tx = torch.from_numpy(q), torch.from_numpy(x)
    norms = (tx * tx).sum(1)

    def blocks() -> Any:
        for block in tq.split(BLOCK):
            sq = torch.addmm(norms[None], block, tx.T, alpha=-2)
            yield block, sq.add_((block * block).sum(1, keepdim=True)).clamp_(min=0)

    return blocks


def torch_product(q: np.ndarray, x: np.ndarray, h: float) -> Run:
    """Product, then logsumexp, nothing fused."""
    import torch

    blocks, mass = sq_blocks(q, x), log_mass(x, h)

    def run() -> np.ndarray:
        parts = [torch.logsumexp(sq.mul_(-1 / (2 * h * h)), 1) for _, sq in blocks()]
        return torch.cat(parts).double().numpy() - mass

    return run


def torch_cdist(q: np.ndarray, x: np.ndarray, h: float) -> Run:
    import torch

    tq, tx, mass = torch.from_numpy(q), torch.from_numpy(x), log_mass(x, h)

    def run() -> np.ndarray:
        parts = []
        for block in tq.split(BLOCK):
            sq = torch.cdist(block, tx).square_()
            parts.append(torch.logsumexp(sq.mul_(-1 / (2 * h * h)), 1))
        return torch.cat(parts).double().numpy() - mass

    return run


def torch_list(q: np.ndarray, x: np.ndarray, bandwidths: list[float]) -> Run:
    """The product once, a logsumexp for each bandwidth."""
    import torch

    blocks = sq_blocks(q, x)
    mass = np.array([log_mass(x, h) for h in bandwidths])

    def run() -> np.ndarray:
        parts = []
        for _, sq in blocks():
            sums = [torch.logsumexp(sq * (-1 / (2 * h * h)), 1) for h in bandwidths]
            parts.append(torch.stack(sums))
        return torch.cat(parts, 1).double().numpy() - mass[:, None]

    return run


def torch_gradient(q: np.ndarray, x: np.ndarray, h: float) -> Run:
    """Product, softmax, and a second product with the points."""
    import torch

    blocks, tx = sq_blocks(q, x), torch.from_numpy(x)

    def run() -> np.ndarray:
        parts = []
        for block, sq in blocks():
            weights = torch.softmax(sq.mul_(-1 / (2 * h * h)), 1)
            parts.append((weights @ tx).sub_(block).div_(h * h))
        return torch.cat(parts).numpy()

    return run


def torch_autograd(q: np.ndarray, x: np.ndarray, h: float) -> Run:
    """What a user of torch writes: logsumexp of a product, and backward()."""
    import torch

    tq, tx = torch.from_numpy(q), torch.from_numpy(x)
    norms = (tx * tx).sum(1)

    def run() -> np.ndarray:
        parts = []
        for block in tq.split(BLOCK):
            z = block.clone().requires_grad_()
            sq = torch.addmm(norms[None], z, tx.T, alpha=-2) + (z * z).sum(1, keepdim=True)
            torch.logsumexp(sq * (-1 / (2 * h * h)), 1).sum().backward()
            parts.append(z.grad)
        return torch.cat(parts).numpy()

    return run


def sklearn_default(q: np.ndarray, x: np.ndarray, h: float) -> Run:
    """A tree; one thread, as scikit-learn has it."""
    from sklearn.neighbors import KernelDensity

    fitted = KernelDensity(bandwidth=h).fit(x)
    return lambda: fitted.score_samples(q)


def sklearn_one_leaf(q: np.ndarray, x: np.ndarray, h: float) -> Run:
    """leaf_size = N + 1: exact at any d; one thread."""
    from sklearn.neighbors import KernelDensity

    fitted = KernelDensity(bandwidth=h, leaf_size=len(x) + 1).fit(x)
    return lambda: fitted.score_samples(q)


def scipy_kde(q: np.ndarray, x: np.ndarray, h: float) -> Run:
    """gaussian_kde with an isotropic covariance; one thread."""
    from scipy.stats import gaussian_kde

    d = x.shape[1]
    fitted = gaussian_kde(x.T.astype(np.float64))
    fitted.covariance, fitted.cho_cov = np.eye(d) * h * h, np.eye(d) * h
    return lambda: fitted.logpdf(q.T)


def pykeops(q: np.ndarray, x: np.ndarray, h: float) -> Run:
    lazy: Any = pytest.importorskip("pykeops.torch").LazyTensor
    import torch

    left = lazy(torch.from_numpy(q)[:, None, :])
    right = lazy(torch.from_numpy(x)[None, :, :])
    mass = log_mass(x, h)

    def run() -> np.ndarray:
        exponent = ((left - right) ** 2).sum(-1) * (-1 / (2 * h * h))
        return exponent.logsumexp(1).view(-1).double().numpy() - mass

    return run
