"""The terms of a kernel density, and their sums with one term held apart or left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genmem.density.logspace import log_share_of_others, logsumexp_rows
from genmem.density.radial import KERNELS, RadialKernel
from genmem.density.rows import DEFAULT_MEMORY, Float64, Rows, Skip, row_blocks
from genmem.kernels import Slots, kde_slots, sq_distances
from genmem.kernels.native import excluded


@dataclass(frozen=True)
class KernelTerms:
    """a_ij = log w_j - d log lambda_j + log k(|z_i - x_j| / (h lambda_j)), and sums over j.

    points   (N, d), finite
    kernel   a name in KERNELS
    weights  (N,) w_j >= 0, or None for 1
    scales   (N,) lambda_j > 0, or None for 1
    memory   working memory in bytes, beyond inputs and answers
    """

    points: Rows
    kernel: str = "gaussian"
    weights: Float64 | None = None
    scales: Float64 | None = None
    memory: int = DEFAULT_MEMORY
    threads: int | None = None
    backend: str = "auto"

    @property
    def radial(self) -> RadialKernel:
        return KERNELS[self.kernel]

    @property
    def log_heights(self) -> Float64:
        """log w_j - d log lambda_j, (N,): the exponent of row j at itself."""
        heights = np.zeros(len(self.points))
        if self.weights is not None:
            with np.errstate(divide="ignore"):
                heights += np.log(self.weights)
        if self.scales is not None:
            heights -= self.points.shape[1] * np.log(self.scales)
        return heights

    @property
    def log_share_left(self) -> Float64:
        """log((W - w_j) / W), (N,)."""
        ones = np.ones(len(self.points))
        return log_share_of_others(ones if self.weights is None else self.weights)

    def exponents(self, queries: Rows, bandwidth: float) -> Float64:
        """a_ij, (M, N), in nats; -inf outside the support and for a weight of 0."""
        return self._exponents(self._squares(queries), bandwidth)

    def log_density(self, queries: Rows, bandwidth: float, skip: Skip = None) -> Float64:
        """log p of each query, (M,), in nats; `skip` leaves rows out with their weight."""
        return np.asarray(self.log_densities(queries, np.array([bandwidth]), skip)[0])

    def log_densities(self, queries: Rows, bandwidths: Float64, skip: Skip = None) -> Float64:
        """log p of each query under each bandwidth, (H, M), in nats: one pass over the distances.

        skip  None | "self" (query i is row i) | (M,) indices of rows, -1 = none
        """
        slots = self.slots(queries, bandwidths, skip)
        d = self.points.shape[1]
        norm = d * np.log(bandwidths) + self.radial.log_normaliser(d)
        log_mass = self._log_mass(len(queries), skip)
        return np.asarray(np.logaddexp(slots.top, slots.rest) - log_mass - norm[:, None])

    def slots(self, queries: Rows, bandwidths: Float64, skip: Skip = None) -> Slots:
        """Per bandwidth and query, (H, M): the largest a_ij, its j, the logsumexp of all others."""
        if self.kernel == "gaussian" and self.scales is None:
            several = [self._native(queries, float(h), skip) for h in bandwidths]
            return Slots(*(np.stack(part) for part in zip(*several, strict=True)))
        return self._in_blocks(queries, bandwidths, skip)

    def _native(self, queries: Rows, bandwidth: float, skip: Skip) -> Slots:
        return kde_slots(
            queries,
            self.points,
            bandwidth,
            weights=self.weights,
            exclude=skip,
            threads=self.threads,
            backend=self.backend,
            assume_finite=True,
        )

    def _in_blocks(self, queries: Rows, bandwidths: Float64, skip: Skip) -> Slots:
        left_out = excluded("log_kde", skip, len(queries), len(self.points))
        shape = (len(bandwidths), len(queries))
        slots = Slots(np.empty(shape), np.empty(shape, np.int64), np.empty(shape))
        # Squares, exponents, and the temporaries of profile and exponential.
        for block in row_blocks(len(queries), 40 * len(self.points), self.memory):
            sq = self._squares(queries[block])
            for h, bandwidth in enumerate(bandwidths):
                a = self._exponents(sq.copy(), float(bandwidth))
                if left_out is not None:
                    own = np.flatnonzero(left_out[block] >= 0)
                    a[own, left_out[block][own]] = -np.inf
                for part, found in zip(slots, _slots_of(a), strict=True):
                    part[h, block] = found
        return slots

    def _squares(self, queries: Rows) -> Float64:
        return sq_distances(
            queries, self.points, threads=self.threads, backend=self.backend, assume_finite=True
        )

    def _exponents(self, sq: Float64, bandwidth: float) -> Float64:
        """a_ij from squared distances, which are overwritten."""
        width = bandwidth if self.scales is None else bandwidth * self.scales
        with np.errstate(over="ignore"):
            if self.kernel == "gaussian":
                a = np.multiply(sq, -0.5 / width**2, out=sq)
            else:
                a = self.radial.log_profile(np.divide(np.sqrt(sq, out=sq), width, out=sq))
        if self.weights is not None or self.scales is not None:
            a += self.log_heights
        return a

    def _log_mass(self, queries: int, skip: Skip) -> Float64 | float:
        """log of the weight that takes part, W or W - w_j."""
        total = len(self.points) if self.weights is None else self.weights.sum()
        left_out = excluded("log_kde", skip, queries, len(self.points))
        if left_out is None:
            return float(np.log(total))
        return np.asarray(np.log(total) + np.where(left_out >= 0, self.log_share_left[left_out], 0))


def _slots_of(a: Float64) -> Slots:
    """From exponents (B, N), which are overwritten; ties to the lower index, -1 for no term."""
    rows = np.arange(len(a))
    index = a.argmax(axis=1)
    top = a[rows, index]
    a[rows, index] = -np.inf
    return Slots(top, np.where(np.isneginf(top), -1, index), logsumexp_rows(a))
