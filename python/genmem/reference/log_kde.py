"""Log-density under radial kernels, its two-slot form and its gradient."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logsumexp

from genmem.reference.knn import Float64, Int64, sq_distances


def log_kde(
    queries: npt.ArrayLike,
    points: npt.ArrayLike,
    bandwidth: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: npt.ArrayLike | None = None,
    kernel: str = "gaussian",
    point_scales: npt.ArrayLike | None = None,
) -> Float64:
    """log p(q) = logsumexp_j a_j - log W - d log h - log c_d, in nats, a_j as in `exponents`.

    W is the sum of the weights that take part; an excluded index takes no part for its query.
    Returns (m,), or (H, m) for H bandwidths; -inf where no point is within reach.
    """
    x = np.asarray(points, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    top, _, rest = kde_slots(
        queries, x, bandwidth, weights=w, exclude=exclude, kernel=kernel, point_scales=point_scales
    )
    mass = np.full(top.shape[-1], w.sum())
    if exclude is not None:
        skip = np.asarray(exclude)
        mass = np.where(skip >= 0, [np.delete(w, s).sum() if s >= 0 else 0.0 for s in skip], mass)
    d = x.shape[1]
    norm = d * np.log(np.asarray(bandwidth, np.float64)) + log_normaliser(kernel, d)
    return np.asarray(np.logaddexp(top, rest) - np.log(mass) - norm[..., None])


def kde_slots(
    queries: npt.ArrayLike,
    points: npt.ArrayLike,
    bandwidth: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: npt.ArrayLike | None = None,
    kernel: str = "gaussian",
    point_scales: npt.ArrayLike | None = None,
) -> tuple[Float64, Int64, Float64]:
    """The largest exponent of each query, its index (ties: the lower), and the logsumexp of all the
    others: (m,) each, or (H, m) for H bandwidths. No term at all: (-inf, -1, -inf).

    Kept apart, they give log(1 - r) of the top responsibility r as rest - logaddexp(top, rest),
    which a subtraction 1 - r loses at a gap of 40 nats.
    """
    given = {"weights": weights, "exclude": exclude, "point_scales": point_scales}
    h = np.asarray(bandwidth, np.float64)
    if h.ndim:
        each = [kde_slots(queries, points, one, kernel=kernel, **given) for one in h]
        top, index, rest = (np.stack(part) for part in zip(*each, strict=True))
        return top, index, rest
    a = exponents(queries, points, float(h), kernel=kernel, **given)
    index = a.argmax(axis=1)
    rows = np.arange(len(a))
    top = a[rows, index]
    a[rows, index] = -np.inf
    none = np.isneginf(top)
    rest = np.full(len(a), -np.inf)
    some = ~np.isneginf(a).all(axis=1)
    rest[some] = logsumexp(a[some], axis=1)
    return top, np.where(none, -1, index).astype(np.int64), rest


def log_kde_gradient(
    queries: npt.ArrayLike,
    points: npt.ArrayLike,
    bandwidth: float,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: npt.ArrayLike | None = None,
    point_scales: npt.ArrayLike | None = None,
) -> Float64:
    """Gradient of the Gaussian log p(q): sum_j r_j (x_j - q) / (h lambda_j)^2, (m, d).

    r_j = exp(a_j - logsumexp a); differences first, so that copies and far origins cost nothing.
    """
    q, x = np.asarray(queries, np.float64), np.asarray(points, np.float64)
    a = exponents(q, x, bandwidth, weights=weights, exclude=exclude, point_scales=point_scales)
    r = np.exp(a - logsumexp(a, axis=1, keepdims=True)) / _sq_widths(x, bandwidth, point_scales)
    return np.stack([share @ (x - row) for share, row in zip(r, q, strict=True)])


def exponents(
    queries: npt.ArrayLike,
    points: npt.ArrayLike,
    bandwidth: float,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: npt.ArrayLike | None = None,
    kernel: str = "gaussian",
    point_scales: npt.ArrayLike | None = None,
) -> Float64:
    """a_ij = log w_j - d log lambda_j + log k(|q_i - x_j| / (h lambda_j)), (m, n), in nats.

    Gaussian: a_ij = log w_j - d log lambda_j - |q_i - x_j|^2 / (2 h^2 lambda_j^2).
    -inf outside the support, for a weight of 0 and for an excluded index.
    """
    x = np.asarray(points, np.float64)
    # Squares decide what lies inside: they are what was computed, and their roots are rounded.
    a = log_profile(kernel, sq_distances(queries, x) / _sq_widths(x, bandwidth, point_scales))
    if weights is not None:
        with np.errstate(divide="ignore"):
            a += np.log(np.asarray(weights, np.float64))
    if point_scales is not None:
        a -= x.shape[1] * np.log(np.asarray(point_scales, np.float64))
    if exclude is not None:
        skip = np.asarray(exclude)
        rows = np.flatnonzero(skip >= 0)
        a[rows, skip[rows]] = -np.inf
    return a


def log_profile(kernel: str, sq: Float64) -> Float64:
    """log k(u) from u^2, elementwise; at u = 1 only tophat is inside its support."""
    inside = np.minimum(sq, 1.0)
    with np.errstate(divide="ignore"):
        values = {
            "gaussian": -0.5 * sq,
            "exponential": -np.sqrt(sq),
            "tophat": np.where(sq <= 1, 0.0, -np.inf),
            "linear": np.log1p(-np.sqrt(inside)),
            "epanechnikov": np.log1p(-inside),
            "biweight": 2 * np.log1p(-inside),
            # cos(pi u / 2), whose zero at u = 1 floating point does not hit.
            "cosine": np.log(np.sin(0.5 * np.pi * (1 - np.sqrt(inside)))),
        }
    return np.asarray(values[kernel], np.float64)


def log_normaliser(kernel: str, d: int) -> float:
    """log c_d, where c_d is the integral of k(|z|) over d dimensions; V_d is the unit ball."""
    log_ball = 0.5 * d * np.log(np.pi) - gammaln(0.5 * d + 1)
    # I_d = integral of u^(d-1) cos(pi u / 2) over 0..1, once by parts, then the series of the sine.
    j = np.arange(14)
    sine = (-1.0) ** j * np.exp((2 * j + 1) * np.log(np.pi / 2) - gammaln(2 * j + 2))
    cosine = np.pi / (2 * d) * (sine / (d + 2 * j + 2)).sum()
    return float(
        {
            "gaussian": 0.5 * d * np.log(2 * np.pi),
            "exponential": log_ball + gammaln(d + 1),
            "tophat": log_ball,
            "linear": log_ball - np.log(d + 1),
            "epanechnikov": 0.5 * d * np.log(np.pi) - gammaln(0.5 * d + 2),
            "biweight": 0.5 * d * np.log(np.pi) + np.log(2) - gammaln(0.5 * d + 3),
            "cosine": log_ball + np.log(d * cosine),
        }[kernel]
    )


def _sq_widths(points: Float64, bandwidth: float, point_scales: npt.ArrayLike | None) -> Float64:
    """(h lambda_j)^2, (n,)."""
    scales = np.ones(len(points)) if point_scales is None else np.asarray(point_scales, np.float64)
    return np.asarray(bandwidth**2 * scales**2)
