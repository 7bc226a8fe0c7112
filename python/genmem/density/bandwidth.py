"""The width of Gaussian kernels: by the data's scale, or by leave-one-out likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from sklearn.utils.validation import check_array

from genmem.density.duplicates import equal_rows
from genmem.density.leave_one_out_likelihood import LeaveOneOutLikelihood
from genmem.density.moments import mean_and_squares
from genmem.density.parameters import check_choice, check_count
from genmem.density.rows import (
    ACCEPTED,
    DEFAULT_MEMORY,
    Float64,
    Int64,
    Rows,
    check_finite,
    check_weights,
)

# Between neighbouring widths of the scan; every sign change of the slope between two is followed.
_SCAN_RATIO = 1.5
# Pairs of rows in one pass of the scan, about; with more, every so-manyth row is scanned and all of
# them finish from the maximum that was found.
_SCAN_PAIRS = 1 << 23


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
    duplicates: str = "raise",
    rows: int | None = None,
    seed: int = 0,
    memory: int = DEFAULT_MEMORY,
    threads: int | None = None,
    backend: str = "auto",
) -> LeaveOneOut:
    """The width of maximum leave-one-out likelihood, h* = argmax_h sum_i w_i log p_{-i}(x_i; h).

    Stationary where sum_i w_i sum_{j != i} r_ij |x_i - x_j|^2 = h^2 d sum_i w_i. The mean squared
    distance to the nearest row and to all rows, over d, bound h*^2 from both sides; the slope in
    log h is scanned between them, every sign change is finished by Brent's method, and the best
    of these maxima is returned. Beyond 2^23 pairs the scan takes a part of the rows that are left
    out, and the last search all of them.

    X              (N, d) rows; a row of weight 0 is a row left out
    sample_weight  (N,) or None
    duplicates     "raise" | "group": leave a row out together with all rows equal to it
    rows           None, or how many rows (drawn by `seed`) are left out, each against all others
    memory         working memory in bytes. The nearest 1024 distances of each row are kept and
                   the others bounded; where the bound exceeds 1e-12 of the slope all of them are
                   taken, kept if they fit, else computed again

    Raises ValueError if fewer than two rows (with "group": distinct rows) have positive weight,
    or if each row that is left out has an equal: the likelihood is then unbounded as h -> 0.
    A few equal rows leave it bounded but pull h* down.
    Source: Duin (1976), IEEE Transactions on Computers 25, 1175.
    """
    operation = "leave_one_out"
    check_choice(duplicates, "duplicates", ("raise", "group"), operation)
    memory = check_count(memory, "memory", operation)
    points, weights = _checked(X, sample_weight, operation)
    kept, points, weights = _taking_part(points, weights, duplicates)
    if len(points) < 2:
        counted = " (equal ones counted once)" if duplicates == "group" else ""
        raise ValueError(
            f"{operation}: X has {len(points)} sample of positive weight{counted}; "
            "at least 2 are wanted, for one is left out"
        )
    chosen = _drawn(len(points), rows, seed)
    likelihood = LeaveOneOutLikelihood(
        points, weights, chosen, memory=memory, threads=threads, backend=backend
    )
    if not likelihood.nearest_sq.any():
        raise ValueError(
            f"{operation}: each of the {len(chosen)} rows left out has an equal row, so the "
            'likelihood is unbounded as h -> 0; pass duplicates="group" or a bandwidth'
        )
    thinned = chosen[:: max(1, len(chosen) * len(points) // _SCAN_PAIRS)]
    if len(thinned) == len(chosen):
        best = _best_maximum(likelihood)
    else:
        scanned = LeaveOneOutLikelihood(
            points, weights, thinned, memory=memory, threads=threads, backend=backend
        )
        # A thin sample may consist of rows with an equal; then all rows are scanned.
        usable = scanned.nearest_sq.any()
        best = _near_maximum(likelihood, _best_maximum(scanned if usable else likelihood))
    value = float(likelihood(np.array([best])).values[0])
    return LeaveOneOut(best, value, kept[chosen])


def _best_maximum(likelihood: LeaveOneOutLikelihood) -> float:
    """The best of the maxima between the bounds: one for each fall of the slope through 0."""
    low, high = likelihood.bounds()
    # Ten per cent wider: at a bound itself the slope may be 0, and its sign rounding.
    low, high = low / 1.1, high * 1.1
    grid = np.geomspace(low, high, 2 + int(np.log(high / low) / np.log(_SCAN_RATIO)))
    slopes = likelihood(grid).slopes
    falls = np.flatnonzero((slopes[:-1] > 0) & (slopes[1:] <= 0))
    ends = [((grid[i], slopes[i]), (grid[i + 1], slopes[i + 1])) for i in falls]
    maxima = np.array([_root(likelihood, *pair) for pair in ends])
    return float(maxima[likelihood(maxima).values.argmax()])


def _near_maximum(likelihood: LeaveOneOutLikelihood, start: float) -> float:
    """A maximum reached by longer and longer steps uphill, until the slope changes its sign."""
    width, slope = start, _slope(likelihood, start)
    step = 0.05 if slope > 0 else -0.05
    while True:
        further = width * float(np.exp(step))
        next_slope = _slope(likelihood, further)
        if (next_slope > 0) != (slope > 0):
            return _root(likelihood, (width, slope), (further, next_slope))
        width, slope, step = further, next_slope, 2 * step


def _root(
    likelihood: LeaveOneOutLikelihood, one: tuple[float, float], other: tuple[float, float]
) -> float:
    """Where the slope is 0 between two (width, slope), in log h."""
    known = {float(np.log(width)): slope for width, slope in (one, other)}

    def slope(log_h: float) -> float:
        return known[log_h] if log_h in known else _slope(likelihood, float(np.exp(log_h)))

    low, high = sorted(known)
    return float(np.exp(brentq(slope, low, high, xtol=1e-14, rtol=1e-14)))


def _slope(likelihood: LeaveOneOutLikelihood, width: float) -> float:
    return float(likelihood(np.array([width])).slopes[0])


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
