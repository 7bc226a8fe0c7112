"""The terms of a kernel density, and their sums with one term held apart or left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genmem.density.logspace import log_share_of_others
from genmem.density.radial import KERNELS, RadialKernel
from genmem.density.rows import MEMORY, Float64, Rows, Skip
from genmem.kernels import Slots, kde_gradient, kde_slots, log_kde, sq_distances


@dataclass(frozen=True)
class KernelTerms:
    """a_ij = log w_j - d log lambda_j + log k(|z_i - x_j| / (h lambda_j)), and sums over j.

    points   (N, d), finite
    kernel   a name in KERNELS
    weights  (N,) w_j >= 0, or None for 1
    scales   (N,) lambda_j > 0, or None for 1
    memory   working memory of a sum in bytes, beyond its inputs and answer
    """

    points: Rows
    kernel: str = "gaussian"
    weights: Float64 | None = None
    scales: Float64 | None = None
    memory: int = MEMORY
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

    def sq_width(self, bandwidth: float) -> float | Float64:
        """(h lambda_j)^2, (N,), or one number for all."""
        return bandwidth**2 if self.scales is None else bandwidth**2 * self.scales**2

    def sq_in_widths(self, queries: Rows, bandwidth: float) -> Float64:
        """|z_i - x_j|^2 / (h lambda_j)^2, (M, N)."""
        sq = sq_distances(
            queries, self.points, threads=self.threads, backend=self.backend, assume_finite=True
        )
        with np.errstate(over="ignore"):
            return np.divide(sq, self.sq_width(bandwidth), out=sq)

    def exponents(self, queries: Rows, bandwidth: float) -> Float64:
        """a_ij, (M, N), in nats; -inf outside the support and for a weight of 0."""
        a = self.radial.log_profile(self.sq_in_widths(queries, bandwidth))
        if self.weights is not None or self.scales is not None:
            a += self.log_heights
        return a

    def log_densities(self, queries: Rows, bandwidths: Float64, skip: Skip = None) -> Float64:
        """log p of each query under each bandwidth, (H, M), in nats: one pass over the distances.

        skip  None | "self" (query i is row i) | (M,) indices of rows, -1 = none
        """
        return np.asarray(log_kde(queries, self.points, bandwidths, **self._given(skip)))

    def log_density(self, queries: Rows, bandwidth: float, skip: Skip = None) -> Float64:
        """log p of each query, (M,), in nats; `skip` leaves rows out with their weight."""
        return np.asarray(log_kde(queries, self.points, bandwidth, **self._given(skip)))

    def slots(self, queries: Rows, bandwidth: float, skip: Skip = None) -> Slots:
        """Of each query, (M,): the largest a_ij, its j, the logsumexp of all others."""
        return kde_slots(queries, self.points, bandwidth, **self._given(skip))

    def gradient(self, queries: Rows, bandwidth: float, skip: Skip = None) -> Float64:
        """Gradient of log p, (M, d): sum_j r_j (x_j - z) / (h lambda_j)^2; Gaussian only."""
        given = self._given(skip)
        del given["kernel"]
        return kde_gradient(queries, self.points, bandwidth, **given)

    def _given(self, skip: Skip) -> dict[str, Any]:
        return {
            "weights": self.weights,
            "exclude": skip,
            "kernel": self.kernel,
            "point_scales": self.scales,
            "memory": self.memory,
            "threads": self.threads,
            "backend": self.backend,
            "assume_finite": True,
        }
