"""Cells of feature space: k-means on the training rows, every row in the cell of its centre."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genmem.copying.chance import generator
from genmem.copying.sets import Float64, Int64, Rows, Sets
from genmem.kernels import nearest_sq

_STARTS = 3


class Cells(NamedTuple):
    """The cell 0..c-1 of every training (N,), held-out (n,) and generated (m,) row."""

    train: Int64
    test: Int64
    generated: Int64


def cells_of(sets: Sets, count: int, seed: int, threads: int | None) -> Cells:
    """Cells by k-means with `count` centres, fitted on the training rows.

    A copy falls in the cell of its original: all sets go to the nearest centre by one rule, ties to
    the lower one. Raises ValueError if there are more cells than distinct training rows.
    """
    if count == 1:
        return Cells(*(np.zeros(len(rows), np.int64) for rows in sets))
    centres = _centres(sets.train, count, seed)
    found = (nearest_sq(rows, centres, 1, threads=threads)[1][:, 0] for rows in sets)
    return Cells(*found)


def _centres(train: Rows, count: int, seed: int) -> Float64:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    rows = train.astype(np.float32 if train.dtype == np.uint8 else train.dtype)
    state = int(generator(seed, "k-means").integers(2**31))
    # One thread: partial sums per thread would make the centres depend on their number.
    with threadpool_limits(1):
        fitted = KMeans(count, n_init=_STARTS, random_state=state).fit(rows)
    return np.asarray(fitted.cluster_centers_, np.float64)
