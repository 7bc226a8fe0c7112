"""Radii of k-th neighbours, whatever k within a memory budget."""

from __future__ import annotations

import numpy as np

from genmem.density.rows import Float64, Rows, Skip, row_blocks
from genmem.kernels import nearest_sq


def last_radii_sq(
    queries: Rows,
    points: Rows,
    k: int,
    skip: Skip,
    *,
    memory: int,
    threads: int | None,
    backend: str,
) -> Float64:
    """Squared distances to the neighbours k - 1 and k of each query, (M, 2); 0 for neighbour 0.

    skip    None | "self" (query i is row i) | (M,) indices of rows left out, -1 = none
    memory  bytes, half of them for the lists of all k neighbours, half for the search
    """
    radii = np.zeros((len(queries), 2))
    columns = slice(-min(k, 2), None)
    left_out = np.arange(len(queries)) if isinstance(skip, str) else skip
    for block in row_blocks(len(queries), 16 * k, memory // 2):
        radii[block, columns] = nearest_sq(
            queries[block],
            points,
            k,
            exclude=None if left_out is None else left_out[block],
            memory=max(1, memory // 2),
            threads=threads,
            backend=backend,
            assume_finite=True,
        )[0][:, columns]
    return radii
