"""Mean and spread of rows, in one float64 pass each, whatever the type of the rows."""

from __future__ import annotations

import numpy as np

from genmem.density.rows import Float64, Rows, row_blocks

# Values of a block: fixed, so that the order of the sums does not depend on the memory budget.
_BLOCK = 1 << 20


def mean_and_squares(points: Rows, weights: Float64) -> tuple[Float64, Float64]:
    """Weighted mean m (d,) and sum_i w_i (x_i - m)^2 (d,) of the rows (n, d).

    Both as differences from the first row, so that equal rows give squares of exactly 0.
    """
    origin = points[0].astype(np.float64)
    shift = np.zeros(len(origin))
    for block in row_blocks(len(points), points.shape[1], _BLOCK):
        shift += weights[block] @ (points[block] - origin)
    mean = origin + shift / weights.sum()
    squares = np.zeros(len(origin))
    for block in row_blocks(len(points), points.shape[1], _BLOCK):
        squares += weights[block] @ (points[block] - mean) ** 2
    return mean, squares
