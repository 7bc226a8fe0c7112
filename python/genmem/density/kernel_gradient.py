"""The gradient of a kernel density of any shape."""

from __future__ import annotations

import numpy as np

from genmem.density.kernel_terms import KernelTerms
from genmem.density.logspace import logsumexp_rows
from genmem.density.rows import Float64, Int64, Rows, row_blocks

# Values of differences held at a time. Not the budget's: the order of a sum would follow it.
_AT_ONCE = 1 << 20


def radial_gradient(
    terms: KernelTerms, queries: Rows, bandwidth: float, skip: Int64 | None
) -> Float64:
    """Gradient of log p at each query, (M, d); NaN where log p is -inf.

    sum_j c_ij (x_j - z_i),   c_ij = exp(b_ij - logsumexp_j a_ij) / (h lambda_j)^2
    b_ij = log w_j - d log lambda_j + log(-k'(u_ij) / u_ij)

    skip  (M,) indices of rows left out, -1 = none, or None

    Differences are summed: a row far from the origin, or alone, loses no digits.
    """
    slopes = np.full(queries.shape, np.nan)
    heights, sq_width = terms.log_heights, terms.sq_width(bandwidth)
    # Squares, exponents, pulls and a temporary of each of the last two.
    for block in row_blocks(len(queries), 40 * len(heights), terms.memory):
        sq = terms.sq_in_widths(queries[block], bandwidth)
        if skip is not None:
            left_out = np.flatnonzero(skip[block] >= 0)
            sq[left_out, skip[block][left_out]] = np.inf
        log_sum = logsumexp_rows(terms.radial.log_profile(sq) + heights)
        pull = terms.radial.log_pull(sq) + heights
        for i in np.flatnonzero(np.isfinite(log_sum)):
            share = np.exp(pull[i] - log_sum[i]) / sq_width
            query = queries[block.start + i].astype(np.float64)
            slopes[block.start + i] = _pulled(query, terms.points, share)
    return slopes


def _pulled(query: Float64, points: Rows, share: Float64) -> Float64:
    total, near = np.zeros(len(query)), np.flatnonzero(share)
    for part in row_blocks(len(near), len(query), _AT_ONCE):
        rows = near[part]
        total += np.einsum("n,nd->d", share[rows], points[rows] - query)
    return total
