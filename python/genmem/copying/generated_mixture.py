"""One isotropic Gaussian per generated sample, each as wide as the training rows ask for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genmem.copying.sets import Float64, Int64, Rows
from genmem.density.logspace import LOG_2PI, logsumexp_rows
from genmem.density.rows import row_blocks
from genmem.kernels import nearest_sq, sq_distances

# Bounds of log s: a component on a training row has likelihood without bound.
LOG_S = 40.0
# Added to the squared distance that a component starts with, so that a copy starts with s > 0.
_START = 1e-3
# Up to so many dimensions EM from the start may end below where Adam does (by 0.03 nats per row at
# d = 2); at d = 64 it ended 8 to 11 nats above.
_OVERLAPPING = 64
# A step that raises the mean log-likelihood by less than this many nats per row is the last.
_TOLERANCE = 1e-7


class Pairs(NamedTuple):
    """Rows and the components near them: squared distances (n, K), components (n, K)."""

    sq: Float64
    component: Int64


class RowScores(NamedTuple):
    """log p of each row under the mixture, and log-density of its best component; nats, (n,)."""

    log_p: Float64
    best: Float64


def near_pairs(rows: Rows, centres: Rows, memory: int, threads: int | None) -> Pairs:
    """The components nearest to each row: all of them, or as many as fit in `memory` bytes."""
    k = int(np.clip(memory // (32 * len(rows)), 1, len(centres)))
    return Pairs(*nearest_sq(rows, centres, k, threads=threads))


def fit_log_scales(
    pairs: Pairs, origin_sq: Float64, nearest_sq: Float64, dim: int, steps: int
) -> Float64:
    """log s_j (m,) that maximise sum_i log sum_j N(x_i; g_j, s_j I), clamped to -40..40.

    r_ij = share of component j in row i;  s_j = sum_i r_ij D_ij / (d sum_i r_ij)

    Expectation maximisation at equal weights: no step lowers the likelihood. The likelihood has
    many optima in few dimensions; up to 64 the better of two is taken, from the start itself and
    from where 50 steps of Adam lead, which is the optimiser of FLD's own code: the answer is no
    less likely than its. Beyond, where components overlap little, EM alone ends far higher. A
    component at the origin takes the rows that are far from all generated ones while the scales are
    fitted.

    pairs       rows with the components near them, D_ij their squared distances
    origin_sq   (n,) squared norm of each row
    nearest_sq  (m,) squared distance of each component to the nearest row: the start is
                s_j = (nearest_sq + 1e-3) / d
    """
    m = len(nearest_sq)
    rows = _Rows(
        np.column_stack([pairs.sq, origin_sq]),
        np.column_stack([pairs.component, np.full(len(origin_sq), m)]),
        dim,
        m + 1,
    )
    start = np.append(nearest_sq, origin_sq.min()) + _START
    first = np.clip(np.log(start / dim), -LOG_S, LOG_S)
    starts = [first, _adam(rows, first)] if dim <= _OVERLAPPING else [first]
    fits = [_maximised(rows, begin, steps) for begin in starts]
    return max(fits, key=lambda fit: fit[1])[0][:m]


class _Rows(NamedTuple):
    """Rows and the components near them, (n, K), with the numbers of features and components."""

    sq: Float64
    component: Int64
    dim: int
    components: int

    def expected(self, log_s: Float64) -> tuple[float, Float64, Float64]:
        """Mean of log sum_j N(x_i; g_j, s_j I); per component sum_i r_ij and sum_i r_ij D_ij."""
        # As log_normal, but with one exponential per component, not one per pair.
        level = -0.5 * self.dim * (LOG_2PI + log_s)
        slope = -0.5 * np.exp(-log_s)
        joint = level[self.component] + self.sq * slope[self.component]
        total = logsumexp_rows(joint)
        share = np.exp(joint - total[:, None])
        which, count = self.component.ravel(), self.components
        sums = [
            np.asarray(np.bincount(which, part.ravel(), minlength=count), np.float64)
            for part in (share, share * self.sq)
        ]
        return float(total.mean()), sums[0], sums[1]


def _maximised(rows: _Rows, log_s: Float64, steps: int) -> tuple[Float64, float]:
    """Log scales after at most `steps` steps of EM, and the mean log-likelihood before the last."""
    fitted, before = log_s.copy(), -np.inf
    for _ in range(steps):
        mean, weight, spread = rows.expected(fitted)
        if mean - before < _TOLERANCE:
            break
        before = mean
        # A component that no row takes a share of stays as it is.
        taken = weight > 0
        with np.errstate(divide="ignore"):
            new = np.log(spread[taken]) - np.log(rows.dim * weight[taken])
        fitted[taken] = np.clip(new, -LOG_S, LOG_S)
    return fitted, before


def _adam(rows: _Rows, log_s: Float64) -> Float64:
    """Log scales after 50 steps of gradient ascent with momentum, rate 0.5.

    d/d log s_j = sum_i r_ij (D_ij / (2 s_j) - d / 2) / n
    Source: Kingma & Ba (2015), Adam: a method for stochastic optimization.
    """
    here, slope, square = log_s.copy(), np.zeros_like(log_s), np.zeros_like(log_s)
    for step in range(1, 51):
        _, weight, spread = rows.expected(here)
        gradient = 0.5 * (spread * np.exp(-here) - rows.dim * weight) / len(rows.sq)
        slope = 0.9 * slope + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        size = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        here = np.clip(here + 0.5 * slope / (1 - 0.9**step) / size, -LOG_S, LOG_S)
    return here


def log_normal(sq: Float64, log_s: Float64, dim: int) -> Float64:
    """log N(x; g, s I) from |x - g|^2, in nats: -(d/2) (log 2 pi + log s) - |x - g|^2 / (2 s)."""
    return np.asarray(-0.5 * (dim * (LOG_2PI + log_s) + sq * np.exp(-log_s)))


def score_rows(
    rows: Rows, centres: Rows, log_s: Float64, memory: int, threads: int | None
) -> RowScores:
    """log p(x) = logsumexp_j log N(x; g_j, s_j I) - log m of each row, exactly, in tiles.

    rows (n, d);  centres (m, d);  log_s (m,)
    """
    dim = rows.shape[1]
    log_p, best = np.empty(len(rows)), np.empty(len(rows))
    for block in row_blocks(len(rows), 32 * len(centres), memory):
        sq = sq_distances(rows[block], centres, threads=threads)
        joint = log_normal(sq, log_s, dim)
        log_p[block] = logsumexp_rows(joint) - np.log(len(centres))
        best[block] = joint.max(axis=1)
    return RowScores(log_p, best)


def standardised(
    sets: tuple[Rows, ...], reference: Rows
) -> tuple[tuple[npt.NDArray[np.float64], ...], int]:
    """The sets in units of the reference's standard deviation, and how many features it leaves out:
    those that are the same for every row of it. Raises ValueError if no feature is left."""
    from genmem.density.moments import mean_and_squares

    mean, squares = mean_and_squares(reference, np.ones(len(reference)))
    kept = squares > 0
    if not kept.any():
        raise ValueError(
            "likelihood_divergence: every feature is the same for all rows that standardise it; "
            "one that varies is wanted"
        )
    deviation = np.sqrt(squares[kept] / len(reference))
    # Element by element: equal rows stay equal, so a copy stays at distance 0.
    scaled = tuple((rows[:, kept] - mean[kept]) / deviation for rows in sets)
    return scaled, int((~kept).sum())
