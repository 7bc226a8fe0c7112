"""Log-density under Gaussian kernels, and its two-slot form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from genmem.reference.knn import Float64, Int64, sq_distances


def log_kde(
    queries: npt.ArrayLike,
    points: npt.ArrayLike,
    bandwidth: float,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: npt.ArrayLike | None = None,
) -> Float64:
    """log p(q) = logsumexp_j(log w_j - |q - x_j|^2 / 2h^2) - log W - d log(h sqrt(2 pi)), in nats.

    W is the sum of the weights that take part; an excluded index takes no part for its query.
    """
    x = np.asarray(points, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    top, _, rest = kde_slots(queries, x, bandwidth, weights=w, exclude=exclude)
    mass = np.full(len(top), w.sum())
    if exclude is not None:
        skip = np.asarray(exclude)
        mass = np.where(skip >= 0, [np.delete(w, s).sum() if s >= 0 else 0.0 for s in skip], mass)
    norm = x.shape[1] * (np.log(bandwidth) + 0.5 * np.log(2 * np.pi))
    return np.asarray(np.logaddexp(top, rest) - np.log(mass) - norm)


def kde_slots(
    queries: npt.ArrayLike,
    points: npt.ArrayLike,
    bandwidth: float,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: npt.ArrayLike | None = None,
) -> tuple[Float64, Int64, Float64]:
    """The largest exponent log w_j - |q - x_j|^2 / 2h^2 of each query, its index, and the
    logsumexp of all the others: (m,) each. No term at all: (-inf, -1, -inf).

    Kept apart, they give log(1 - r) of the top responsibility r as rest - logaddexp(top, rest),
    which a subtraction 1 - r loses at a gap of 40 nats.
    """
    x = np.asarray(points, np.float64)
    with np.errstate(divide="ignore"):
        log_w = np.zeros(len(x)) if weights is None else np.log(np.asarray(weights, np.float64))
    a = log_w - sq_distances(queries, x) / (2 * bandwidth**2)
    if exclude is not None:
        skip = np.asarray(exclude)
        rows = np.flatnonzero(skip >= 0)
        a[rows, skip[rows]] = -np.inf
    index = a.argmax(axis=1)
    rows = np.arange(len(a))
    top = a[rows, index]
    a[rows, index] = -np.inf
    none = np.isneginf(top)
    rest = np.full(len(a), -np.inf)
    some = ~np.isneginf(a).all(axis=1)
    rest[some] = logsumexp(a[some], axis=1)
    return top, np.where(none, -1, index).astype(np.int64), rest
