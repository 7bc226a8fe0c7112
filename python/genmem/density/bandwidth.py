"""The width of Gaussian kernels: by the data's scale, or by leave-one-out likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_array

from genmem.density.duplicates import equal_rows
from genmem.density.kernel_terms import KernelTerms
from genmem.density.moments import mean_and_squares
from genmem.density.parameters import check_choice, check_count
from genmem.density.radial import KERNELS
from genmem.density.rows import (
    ACCEPTED,
    MEMORY,
    Float64,
    Int64,
    Rows,
    check_finite,
    check_scales,
    check_weights,
)
from genmem.density.width_search import (
    NEARBY,
    STEPS,
    bounds,
    closest,
    maxima,
    squares_to_nearest,
    vertex,
)

# Pairs of rows in one pass of the scan, about; with more, every so-manyth row is scanned and all of
# them finish from the maxima that were found.
_SCAN_PAIRS = 1 << 25


class LeaveOneOut(NamedTuple):
    """The bandwidth of maximum leave-one-out likelihood, and what it rests on.

    bandwidth       h* in data units
    log_likelihood  sum over `rows` of w_i log p_{-i}(x_i; h*), nats
    rows            (q,) the rows that were left out, each against all others
    """

    bandwidth: float
    log_likelihood: float
    rows: Int64


def scott(X: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
    """Scott's width sigma n^(-1/(d+4)), in data units; arguments as in `silverman`.

    Source: Scott (1992), Multivariate Density Estimation.
    """
    sigma, size, d = _scale(X, sample_weight, "scott")
    return float(sigma * size ** (-1.0 / (d + 4)))


def silverman(X: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
    """Silverman's width sigma (n (d+2)/4)^(-1/(d+4)), in data units.

    X              (N, d) rows, N >= 2
    sample_weight  (N,) or None; then n = (sum w)^2 / sum w^2, which the unit of the weights does
                   not change, and the variance is sum w (x - m)^2 / (sum w - sum w^2 / sum w)
    sigma          root of the mean over features of the sample variance (ddof = 1)

    Raises ValueError if fewer than two rows have positive weight or the variance is 0.
    Source: Silverman (1986), Density Estimation for Statistics and Data Analysis, eq. 4.14.
    """
    sigma, size, d = _scale(X, sample_weight, "silverman")
    return float(sigma * (size * (d + 2) / 4) ** (-1.0 / (d + 4)))


def leave_one_out(
    X: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    kernel: str = "gaussian",
    point_scales: npt.ArrayLike | None = None,
    duplicates: str = "raise",
    rows: int | None = None,
    seed: int = 0,
    memory: int = MEMORY,
    threads: int | None = None,
    backend: str = "auto",
) -> LeaveOneOut:
    """The width of maximum leave-one-out likelihood, h* = argmax_h sum_i w_i log p_{-i}(x_i; h).

    A list of widths between two bounds on h* is scanned in one pass over the distances, and the
    maxima of the list are polished on lists ever closer: to about 1e-10 of h* by the vertex of a
    quartic where the likelihood is smooth in h (gaussian, exponential; every maximum of the list),
    to 1e-8 by closing in on the best where it is not. At a smooth maximum of Gaussian kernels
    sum_i w_i sum_{j != i} r_ij |x_i - x_j|^2 / lambda_j^2 = h^2 d sum_i w_i. Beyond 2^25 pairs the
    scan takes a part of the rows that are left out, and the polish all of them.

    X              (N, d) rows; a row of weight 0 is a row left out
    sample_weight  (N,) or None
    kernel         a name in KERNELS
    point_scales   (N,) positive lambda_j, held fixed: row j has the width h lambda_j; None for 1
    duplicates     "raise" | "group": leave a row out together with all rows equal to it
    rows           None, or how many rows (drawn by `seed`) are left out, each against all others
    memory         working memory of each pass in bytes

    Raises ValueError if fewer than two rows (with "group": distinct rows) have positive weight, for
    a scale that is not positive, or if each row that is left out has an equal: the likelihood is
    then unbounded as h -> 0. A few equal rows leave it bounded but pull h* down.
    Source: Duin (1976), IEEE Transactions on Computers 25, 1175.
    """
    operation = "leave_one_out"
    check_choice(kernel, "kernel", KERNELS, operation)
    check_choice(duplicates, "duplicates", ("raise", "group"), operation)
    points, weights = _checked(X, sample_weight, operation)
    scales = None
    if point_scales is not None:
        scales = check_scales(point_scales, len(points), operation)
    kept, points, weights = _taking_part(points, weights, duplicates)
    if len(points) < 2:
        counted = " (equal ones counted once)" if duplicates == "group" else ""
        raise ValueError(
            f"{operation}: X has {len(points)} sample of positive weight{counted}; "
            "at least 2 are wanted, for one is left out"
        )
    chosen = _drawn(len(points), rows, seed)
    if scales is not None:
        scales = scales[kept]
    terms = KernelTerms(points, kernel, weights, scales, memory, threads, backend)
    nearest = squares_to_nearest(terms, chosen)
    if not nearest.any():
        raise ValueError(
            f"{operation}: each of the {len(chosen)} rows left out has an equal row, so the "
            'likelihood is unbounded as h -> 0; pass duplicates="group" or a bandwidth'
        )
    every = max(1, len(chosen) * len(points) // _SCAN_PAIRS)
    # A thin sample may consist of rows with an equal; then all rows are scanned.
    scanned = chosen[::every] if nearest[::every].any() else chosen
    starts = maxima(terms, scanned, *bounds(terms, chosen, nearest))
    best, value = _polished(terms, chosen, scanned, starts)
    return LeaveOneOut(best, value, kept[chosen])


def _polished(
    terms: KernelTerms, chosen: Int64, scanned: Int64, starts: Float64
) -> tuple[float, float]:
    """The best maximum, and its value, of the rows `chosen` near `starts`, those of `scanned`."""
    if np.isinf(terms.radial.power):
        return closest(terms, chosen, float(starts[0]))
    steps: tuple[float, ...] = STEPS
    if len(scanned) < len(chosen):
        # The very maxima of the part come first, so that two passes over all pairs are enough.
        starts = np.array([vertex(terms, scanned, float(start))[0] for start in starts])
        steps = NEARBY
    found = [vertex(terms, chosen, float(start), steps) for start in starts]
    return max(found, key=lambda maximum: maximum[1])


def _taking_part(points: Rows, weights: Float64, duplicates: str) -> tuple[Int64, Rows, Float64]:
    """Rows of positive weight; with "group" one of each set of equals, with their summed weight."""
    kept: Int64 = np.flatnonzero(weights > 0)
    if len(kept) < len(points):
        points, weights = points[kept], weights[kept]
    if duplicates == "group":
        equal = equal_rows(points)
        if len(equal.first) < len(points):
            weights = np.bincount(equal.group, weights=weights).astype(np.float64)
            kept, points = kept[equal.first], points[equal.first]
    return kept, points, weights


def _drawn(count: int, rows: int | None, seed: int) -> Int64:
    if rows is None or check_count(rows, "rows", "leave_one_out") >= count:
        return np.arange(count, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(count, size=rows, replace=False))


def _checked(
    X: npt.ArrayLike, sample_weight: npt.ArrayLike | None, operation: str
) -> tuple[Rows, Float64]:
    points = check_array(X, dtype=ACCEPTED, ensure_all_finite=False)
    check_finite(points, operation)
    if sample_weight is None:
        return points, np.ones(len(points))
    return points, check_weights(sample_weight, len(points), operation)


def _scale(
    X: npt.ArrayLike, sample_weight: npt.ArrayLike | None, operation: str
) -> tuple[float, float, int]:
    """sigma, the effective number of rows, and d."""
    points, w = _checked(X, sample_weight, operation)
    if np.count_nonzero(w) < 2:
        raise ValueError(
            f"{operation}: X has {np.count_nonzero(w)} sample of positive weight; "
            "at least 2 are wanted, for one has no variance"
        )
    total, sq_total = w.sum(), (w * w).sum()
    _, squares = mean_and_squares(points, w)
    variance = squares.mean() / (total - sq_total / total)
    if not variance > 0:
        raise ValueError(f"{operation}: the variance of X is 0; no scale can be taken from it")
    return float(np.sqrt(variance)), float(total**2 / sq_total), points.shape[1]
