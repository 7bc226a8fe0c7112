"""Kernel densities by their definition, dense in float64, and by deleting rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from budget import assert_within
from genmem import reference

PROFILES = {
    "gaussian": lambda u: np.exp(-(u**2) / 2),
    "exponential": lambda u: np.exp(-u),
    "tophat": lambda u: 1.0 * (u <= 1),
    "linear": lambda u: np.maximum(1 - u, 0),
    "epanechnikov": lambda u: np.maximum(1 - u**2, 0),
    "biweight": lambda u: np.maximum(1 - u**2, 0) ** 2,
    "cosine": lambda u: np.where(u < 1, np.cos(np.pi * u / 2), 0),
}


def log_p(X, h, Z, w=None, *, kernel="gaussian", scales=None) -> npt.NDArray[np.float64]:
    """log sum_j w_j k(|z - x_j| / (h s_j)) / s_j^d - log(W h^d c_d) of each row of Z, in nats."""
    X, Z = np.asarray(X, float), np.asarray(Z, float)
    w = np.ones(len(X)) if w is None else np.asarray(w, float)
    s = np.ones(len(X)) if scales is None else np.asarray(scales, float)
    u = np.sqrt(((Z[:, None] - X) ** 2).sum(axis=2)) / (h * s)
    with np.errstate(divide="ignore"):
        # The Gaussian in logs, since its terms leave float64 within ordinary data.
        log_k = -(u**2) / 2 if kernel == "gaussian" else np.log(PROFILES[kernel](u))
        total = logsumexp(log_k, b=w / s ** X.shape[1], axis=1)
    norm = X.shape[1] * np.log(h) + reference.log_normaliser(kernel, X.shape[1])
    return total - np.log(w.sum()) - norm


def influence_by_refit(X, h, Z, w=None, *, kernel="gaussian", scales=None):
    """log p with all rows less log p with row i deleted, h and the widths of the others held."""
    w = np.ones(len(X)) if w is None else np.asarray(w, float)
    s = np.ones(len(X)) if scales is None else np.asarray(scales, float)
    full = log_p(X, h, Z, w, kernel=kernel, scales=s)
    columns = []
    for i in range(len(X)):
        left, weights, widths = (np.delete(each, i, axis=0) for each in (X, w, s))
        with np.errstate(invalid="ignore"):
            columns.append(full - log_p(left, h, Z, weights, kernel=kernel, scales=widths))
    return np.stack(columns, axis=1)


def column(*values: float) -> npt.NDArray[np.float64]:
    return np.array(values, float)[:, None]


def close(got: npt.ArrayLike, want: npt.ArrayLike, tol: float = 1e-11) -> None:
    """Within an absolute tolerance, by default that of golden values; NaN is never close."""
    assert_within(got, want, tol)
