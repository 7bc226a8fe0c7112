"""The width of largest leave-one-out likelihood: bounds, one scan of a list, and its polish.

Only likelihoods are asked for, of lists of widths that share a pass over the distances.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import Polynomial

from genmem.density.kernel_terms import KernelTerms
from genmem.density.rows import Float64, Int64
from genmem.kernels import nearest_sq, sq_distances

# Between neighbouring widths of the scan.
_SCAN_RATIO = 1.25
# In log h, between the five widths of a vertex, list by list. The slope of the quartic through five
# is off by s^4, and by the rounding of L over s: least at about 1e-3.
STEPS = (0.1, 0.01, 1e-3)
NEARBY = (0.03, 1e-3)
# Widths of a list that closes in: an odd number, so that the best so far stays in the next.
_CLOSING = 9
# Lists at most: a jump that rounding moves across a width could send them back and forth for ever.
_LISTS = 200
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
        memory=terms.memory,
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


def vertex(
    terms: KernelTerms, rows: Int64, start: float, steps: tuple[float, ...] = STEPS
) -> tuple[float, float]:
    """The maximum uphill of `start`, and its value, of a likelihood that is smooth in log h.

    The vertex of the quartic through five widths, around which the next five lie closer.
    """
    center, value = float(np.log(start)), -np.inf
    for step in steps:
        offsets, i = step * np.arange(-2, 3), 0
        while i in (0, 4):
            values = log_likelihoods(terms, rows, np.exp(center + offsets))
            i = int(values.argmax())
            # At an end the maximum may lie beyond it.
            center += float(offsets[i]) if i in (0, 4) else 0.0
        # As differences from the best: the sums themselves would spend the digits of the slope.
        quartic = Polynomial.fit(offsets / step, values - values[i], 4, domain=[-2, 2])
        turns = quartic.deriv().roots()
        inside = np.append(turns[np.isreal(turns) & (np.abs(turns) <= 2)].real, i - 2)
        turn = float(inside[quartic(inside).argmax()])
        center, value = center + step * turn, float(values[i] + quartic(turn))
    return float(np.exp(center)), value


def closest(terms: KernelTerms, rows: Int64, start: float) -> tuple[float, float]:
    """A maximum near `start`, and its value, by lists of widths that close in on the best.

    For likelihoods with kinks (kernels that end), with jumps (tophat), and that start from -inf.
    """
    low, high = np.log(start / _SCAN_RATIO), np.log(start * _SCAN_RATIO)
    best, value = start, -np.inf
    for _ in range(_LISTS):
        if high - low <= _CLOSED:
            break
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
