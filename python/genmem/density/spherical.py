"""The exact influence of a row within well-separated spherical clusters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genmem.density.moments import mean_and_squares
from genmem.density.rows import Float64, Int64, check_finite
from genmem.kernels import sq_distances


def spherical_cluster_influence(
    X: npt.ArrayLike,
    labels: npt.ArrayLike,
    Z: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    *,
    first_order: bool = False,
) -> Float64:
    """Influence of each row on each query when clusters are hard, spherical and far apart, in nats.

    Within a cluster of n of the N rows, mean mu, variance s = sum |x - mu|^2 / (n d):
    IF = log(n/(n-1)) + log((N-1)/N) + (d/2) log(s'/s) - |z - mu|^2 / 2s + |z - mu'|^2 / 2s'
    s' = n/(n-1) (s - |x_i - mu|^2 / ((n-1) d)),   mu' = mu - (x_i - mu)/(n-1)
    and log((N-1)/N) for a row of another cluster. This equals fitting again without the row.

    first_order  True: its first-order form with error O(1/n^2), a = |z - mu|^2, b = |x_i - mu|^2,
                 c = |z - x_i|^2: (d+2)/2n - 1/N + (a b/(d s) - c)/(2 n s)

    X       (N, d) rows, labels (N,) cluster of each
    Z       (M, d) queries, query_labels (M,) cluster of each, one of those in labels
    returns (M, N); +inf or -inf where the rest of the cluster is one point and z is not, or is, it

    Raises ValueError for a cluster of one row or of equal rows: it has no density.
    """
    operation = "spherical_cluster_influence"
    points, queries = np.asarray(X, np.float64), np.asarray(Z, np.float64)
    if points.ndim != 2 or queries.ndim != 2 or points.shape[1] != queries.shape[1]:
        raise ValueError(
            f"{operation}: X has shape {points.shape} and Z {queries.shape}; "
            "(N, d) and (M, d) are wanted"
        )
    check_finite(points, operation, "X")
    check_finite(queries, operation, "Z")
    of_row = _labels(labels, len(points), "labels")
    of_query = _labels(query_labels, len(queries), "query_labels")
    unknown = np.flatnonzero(~np.isin(of_query, of_row))
    if unknown.size:
        raise ValueError(
            f"{operation}: query_labels[{unknown[0]}] is {of_query[unknown[0]]}, "
            "which is not among labels"
        )
    N = len(points)
    other = -1.0 / N if first_order else np.log1p(-1.0 / N)
    answer = np.full((len(queries), N), other)
    within = _first_order if first_order else _exact
    for label in np.unique(of_row):
        rows, asked = np.flatnonzero(of_row == label), np.flatnonzero(of_query == label)
        cluster = points[rows]
        mean, squares = mean_and_squares(cluster, np.ones(len(rows)))
        if not squares.sum() > 0:
            raise ValueError(
                f"{operation}: cluster {label} has {len(rows)} row(s), all equal; "
                "it has no variance and so no density"
            )
        # Near the origin the mean without a row keeps its digits.
        answer[np.ix_(asked, rows)] = other + within(
            cluster - mean, queries[asked] - mean, float(squares.sum()) / cluster.size
        )
    return answer


def _exact(V: Float64, Z: Float64, s: float) -> Float64:
    """log(n/(n-1)) and the change of the normal density; V (n, d), Z (M, d) from the mean."""
    n, d = V.shape
    b = (V**2).sum(axis=1)
    s_left = n / (n - 1) * (s - b / ((n - 1) * d))
    means = -V / (n - 1)
    # Where the row carries nearly all of the variance the difference cancels: count again.
    for i in np.flatnonzero(s_left < 1e-3 * s):
        rest = np.delete(V, i, axis=0)
        means[i], squares = mean_and_squares(rest, np.ones(n - 1))
        s_left[i] = squares.sum() / rest.size
    a, a_left = (Z**2).sum(axis=1), sq_distances(Z, means)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = 0.5 * (d * np.log(s_left / s) + a_left / s_left)
    change[:, s_left == 0] = np.where(a_left[:, s_left == 0] > 0, np.inf, -np.inf)
    return np.asarray(np.log(n / (n - 1)) - a[:, None] / (2 * s) + change)


def _first_order(V: Float64, Z: Float64, s: float) -> Float64:
    n, d = V.shape
    a, b, c = (Z**2).sum(axis=1), (V**2).sum(axis=1), sq_distances(Z, V)
    return np.asarray((d + 2) / (2 * n) + (a[:, None] * b / (d * s) - c) / (2 * n * s))


def _labels(labels: npt.ArrayLike, rows: int, name: str) -> Int64:
    given = np.asarray(labels)
    if given.shape != (rows,) or given.dtype.kind not in "iu":
        raise ValueError(
            f"spherical_cluster_influence: {name} has shape {given.shape} and type {given.dtype}; "
            f"({rows},) integers are wanted"
        )
    return given.astype(np.int64)
