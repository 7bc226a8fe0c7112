"""The leave-one-out log-likelihood of a Gaussian kernel density as a function of its width."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genmem.density.kernel_terms import KernelTerms
from genmem.density.logspace import LOG_2PI, sum_of_others
from genmem.density.rows import Float64, Int64, row_blocks
from genmem.kernels import nearest_sq, sq_distances

# What the rows beyond the nearest may add to the slope of one row, per dimension.
_OMITTED = 1e-12
# Neighbours kept per row and in all: fixed, so that the memory budget does not move the answer.
_NEIGHBORS_OF_A_ROW = 1024
_NEIGHBORS_OF_ALL = 1 << 21


class ValuesAndSlopes(NamedTuple):
    """For each width: sum_i w_i log p_{-i}(x_i) in nats, and its derivative in log h."""

    values: Float64
    slopes: Float64


class LeaveOneOutLikelihood:
    """L(h) = sum_{i in rows} w_i log p_{-i}(x_i; h) and dL / dlog h, each row against all others.

    log p_{-i}(x_i) = logsumexp_{j != i}(log w_j - D_ij/2h^2) - log(W - w_i) - d log(h sqrt(2 pi))
    dL/dlog h = sum_i w_i (sum_{j != i} r_ij D_ij / h^2 - d),   D_ij = |x_i - x_j|^2

    terms  Gaussian, without scales, of positive weights. Of its memory: the nearest 1024 distances
           of each row are kept (fewer for many rows, 50 MB in all); a width for which further rows
           could matter takes all Q N distances, which are kept if they fit in half of the memory
           and computed again otherwise
    rows   (Q,) indices of the rows left out

    nearest_sq (Q,) is the squared distance from each row to its nearest other row.
    """

    def __init__(self, terms: KernelTerms, rows: Int64) -> None:
        self._terms, self._rows = terms, rows
        self._points = terms.points
        self._weights = np.ones(len(self._points)) if terms.weights is None else terms.weights
        self._queries = self._points if len(rows) == len(self._points) else self._points[rows]
        self._log_weights = np.log(self._weights)
        self._log_left = np.log(sum_of_others(self._weights)[rows])
        self._near = self._nearest()
        self.nearest_sq = self._near.sq[:, 0]
        self._kept: Float64 | None = None

    def __call__(self, bandwidths: Float64) -> ValuesAndSlopes:
        """L and its slope for a list of widths, which share a pass over the distances."""
        mass = np.empty((len(bandwidths), len(self._rows)))
        mean_sq = np.empty_like(mass)
        todo = []
        for i, h in enumerate(bandwidths):
            near = self._near.at(h)
            if near is None:
                todo.append(i)
            else:
                mass[i], mean_sq[i] = near
        if todo:
            self._pass(bandwidths, todo, mass, mean_sq)
        w, d = self._weights[self._rows], self._points.shape[1]
        norm = d * (np.log(bandwidths) + 0.5 * LOG_2PI)
        values = (mass - self._log_left - norm[:, None]) * w
        slopes = (mean_sq / bandwidths[:, None] ** 2 - d) * w
        return ValuesAndSlopes(values.sum(axis=1), slopes.sum(axis=1))

    def _pass(self, bandwidths: Float64, todo: list[int], mass: Float64, mean_sq: Float64) -> None:
        rows = np.arange(len(self._rows))
        if self._kept is None and 8 * len(rows) * len(self._points) <= self._terms.memory // 2:
            self._kept = self._distances(slice(None))
        for block in row_blocks(len(rows), 32 * len(self._points), self._terms.memory // 2):
            sq = self._distances(block) if self._kept is None else self._kept[block]
            own = (rows[: len(sq)], self._rows[block])
            for i in todo:
                a = self._log_weights - sq / (2 * bandwidths[i] ** 2)
                a[own] = -np.inf
                mass[i, block], mean_sq[i, block] = _mass_and_mean(a, sq)

    def _distances(self, block: slice) -> Float64:
        return np.asarray(
            sq_distances(
                self._queries[block],
                self._points,
                threads=self._terms.threads,
                backend=self._terms.backend,
                assume_finite=True,
            )
        )

    def _nearest(self) -> _Nearest:
        others = len(self._points) - 1
        k = min(others, _NEIGHBORS_OF_A_ROW, max(16, _NEIGHBORS_OF_ALL // len(self._rows)))
        sq, index = nearest_sq(
            self._queries,
            self._points,
            k,
            exclude=self._rows,
            threads=self._terms.threads,
            backend=self._terms.backend,
            assume_finite=True,
        )
        # All weights together bound the weight of the rows beyond the k-th.
        log_omitted = np.log(self._weights.sum()) if k < others else -np.inf
        return _Nearest(sq, self._log_weights[index], float(log_omitted), self._points.shape[1])


class _Nearest(NamedTuple):
    """Squared distances (Q, k) and log-weights of the nearest rows, and a bound on the rest."""

    sq: Float64
    log_weights: Float64
    log_omitted: float
    d: int

    def at(self, h: float) -> tuple[Float64, Float64] | None:
        """logsumexp and mean squared distance per row, or None if omitted rows could matter."""
        mass, mean_sq = _mass_and_mean(self.log_weights - self.sq / (2 * h * h), self.sq)
        reach = self.sq[:, -1] / (h * h)
        # u exp(-u/2) falls beyond u = 2, so there the k-th distance bounds all further ones.
        log_share = self.log_omitted - 0.5 * reach - mass
        certain = (reach >= 2) & (log_share + np.log(reach + self.d) <= np.log(_OMITTED * self.d))
        return (mass, mean_sq) if np.isneginf(self.log_omitted) or certain.all() else None


def _mass_and_mean(a: Float64, sq: Float64) -> tuple[Float64, Float64]:
    """logsumexp of each row of exponents, overwritten, and the mean of sq under their softmax."""
    top = a.max(axis=1)
    a -= top[:, None]
    share = np.exp(a, out=a)
    total = share.sum(axis=1)
    return top + np.log(total), np.asarray(np.einsum("ij,ij->i", share, sq) / total)
