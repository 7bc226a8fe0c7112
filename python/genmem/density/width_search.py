"""The width of largest leave-one-out likelihood: bounds, one scan of a list, and the climb."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from genmem.density.kernel_terms import KernelTerms
from genmem.density.leave_one_out_likelihood import LeaveOneOutLikelihood
from genmem.density.rows import Float64, Int64
from genmem.kernels import nearest_sq, sq_distances

# Between neighbouring widths of the scan.
_SCAN_RATIO = 1.25
# Of a list that closes in on a maximum: an odd number, so that the best width so far stays in it.
_CLOSING = 9
# Likelihoods at a maximum differ by less than rounding within about this share of the width.
_CLOSED = 1e-8


def log_likelihoods(terms: KernelTerms, rows: Int64, widths: Float64) -> Float64:
    """sum_{i in rows} w_i log p_{-i}(x_i; h) of each width, (H,), in nats."""
    queries = terms.points if len(rows) == len(terms.points) else terms.points[rows]
    log_p = terms.log_densities(queries, widths, rows)
    return np.asarray(log_p.sum(axis=1) if terms.weights is None else log_p @ terms.weights[rows])


def squares_to_nearest(terms: KernelTerms, rows: Int64) -> Float64:
    """Squared distance from each of `rows` to its nearest other row, (Q,)."""
    sq, _ = nearest_sq(
        terms.points if len(rows) == len(terms.points) else terms.points[rows],
        terms.points,
        1,
        exclude=rows,
        threads=terms.threads,
        backend=terms.backend,
        assume_finite=True,
    )
    return np.asarray(sq[:, 0])


def bounds(terms: KernelTerms, rows: Int64, nearest: Float64) -> tuple[float, float]:
    """Two widths with every maximum of the likelihood between them.

    The slope in log h is sum_i w_i (sum_j r_ij e(u_ij) - d), u_ij = |x_i - x_j| / (h lambda_j),
    e(u) = -u k'(u)/k(u) rising: u^p for a tail exp(-u^p / p), so it is positive while the mean of
    e over the nearest rows exceeds d, and negative once e is below d for all pairs. For compact
    kernels the likelihood is 0 until each row reaches another, and e(2/5) < 1.

    nearest  (Q,) squared distances from `rows` to their nearest other rows
    """
    d, power = terms.points.shape[1], terms.radial.power
    # Twice the largest distance from one row is no less than that of any pair.
    reach = sq_distances(
        terms.points,
        terms.points[:1],
        threads=terms.threads,
        backend=terms.backend,
        assume_finite=True,
    )
    far, near = 2 * float(np.sqrt(reach.max())), np.sqrt(nearest)
    widest, narrowest = (
        (1.0, 1.0) if terms.scales is None else (terms.scales.max(), terms.scales.min())
    )
    if np.isfinite(power):
        turn = d ** (1 / power)
        w = np.ones(len(rows)) if terms.weights is None else terms.weights[rows]
        low = float((w @ near**power / w.sum()) ** (1 / power))
        return low / turn / widest, far / turn / narrowest
    return float(near.max()) / widest, 2.5 * far / narrowest


def maxima(terms: KernelTerms, rows: Int64, low: float, high: float) -> Float64:
    """Widths of a list from low to high that are better than their neighbours; the best first.

    An end that is better than its one neighbour counts: there is a maximum between the two.
    """
    # Ten per cent wider, so that a maximum at a bound lies within.
    low, high = low / 1.1, high * 1.1
    widths = np.geomspace(low, high, 3 + int(np.log(high / low) / np.log(_SCAN_RATIO)))
    values = log_likelihoods(terms, rows, widths)
    before, after = np.append(-np.inf, values[:-1]), np.append(values[1:], -np.inf)
    peaks = np.flatnonzero((values > before) & (values >= after))
    return widths[peaks[np.argsort(-values[peaks], kind="stable")]]


def closest(terms: KernelTerms, rows: Int64, start: float) -> tuple[float, float]:
    """A maximum near `start` and its value, by lists of widths that close in on the best.

    Needs no slope, so it also serves likelihoods that jump (tophat) or start from -inf.
    """
    low, high = np.log(start / _SCAN_RATIO), np.log(start * _SCAN_RATIO)
    best, value = start, -np.inf
    while high - low > _CLOSED:
        widths = np.exp(np.linspace(low, high, _CLOSING))
        values = log_likelihoods(terms, rows, widths)
        i = int(values.argmax())
        if values[i] > value:
            best, value = float(widths[i]), float(values[i])
        if not np.isfinite(values[i]):
            # Some row reaches no other: wider.
            low, high = high, 2 * high - low
        else:
            center = np.log(widths[i])
            # At an end the maximum is beyond it: a list as wide around the end.
            half = (high - low) / (2 if i in (0, _CLOSING - 1) else _CLOSING - 1)
            low, high = center - half, center + half
    return best, value


def steepest(likelihood: LeaveOneOutLikelihood, starts: Float64) -> tuple[float, float]:
    """The best of the maxima uphill of the starts, and its value: zeros of the slope."""
    found = np.array([_uphill(likelihood, float(start)) for start in starts])
    values = likelihood(found).values
    return float(found[values.argmax()]), float(values.max())


def _uphill(likelihood: LeaveOneOutLikelihood, start: float) -> float:
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
