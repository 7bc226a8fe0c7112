"""Exact nearest neighbours: difference form, float64, ties to the lower index."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


def sq_distances(queries: npt.ArrayLike, points: npt.ArrayLike) -> Float64:
    """Squared Euclidean distances (m, n): subtract, then square; copies are at exactly 0."""
    q, x = np.asarray(queries, np.float64), np.asarray(points, np.float64)
    out = np.empty((len(q), len(x)))
    for i, row in enumerate(q):
        out[i] = ((x - row) ** 2).sum(axis=1)
    return out


def knn(
    queries: npt.ArrayLike, points: npt.ArrayLike, k: int, *, exclude: npt.ArrayLike | None = None
) -> tuple[Float64, Int64]:
    """The k smallest of (distance, index) per query, ascending; `exclude[i]` is left out of row i.

    queries (m, d), points (n, d), exclude (m,) integers with -1 for none
    returns distances (m, k), roots of the sums of squared differences, and indices (m, k)
    """
    sq = sq_distances(queries, points)
    if exclude is not None:
        skip = np.asarray(exclude)
        rows = np.flatnonzero(skip >= 0)
        sq[rows, skip[rows]] = np.inf
    order = np.argsort(sq, axis=1, kind="stable")[:, :k]
    return np.sqrt(np.take_along_axis(sq, order, axis=1)), order.astype(np.int64)
