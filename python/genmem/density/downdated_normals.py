"""log N(z; mu'_k, S'_k) when one row is taken out of the mean and covariance of a component.

One function per shape of the covariances, all with the arguments

values   (as covariances_) S_k      left_out  the rows that are taken out
queries  K arrays (B, d): z - mu_k  dot       pairs queries with rows: all with all, or i with i

and the answer: K arrays (B, n), or (n,) when paired, of log N without its component's weight, and
(n,) booleans, False where the closed form has lost its digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genmem.density.covariances import (
    AbstractCovariances,
    DiagonalCovariances,
    FullCovariances,
    SphericalCovariances,
    TiedCovariances,
    triangular_solve,
)
from genmem.density.logspace import LOG_2PI
from genmem.density.rows import Float64

Bool = npt.NDArray[np.bool_]
# a (B, f) and b (n, f) -> (B, n), or both (n, f) -> (n,).
Dot = Callable[[Float64, Float64], Float64]
Normals = tuple[list[Float64], Bool]

# A variance that is downdated to less than this share of itself has lost four digits.
_LEAST_LEFT = 1e-4


@dataclass(frozen=True)
class LeftOut:
    """Rows that are taken out one at a time.

    deltas  K arrays (n, d): x_i - mu_k      shares  (n, K) responsibilities r_ik
    counts  (K,) n_k = sum of r over all     left    (n, K) n_k - r_ik
    """

    deltas: list[Float64]
    shares: Float64
    left: Float64
    counts: Float64
    reg_covar: float

    def of(self, k: int) -> tuple[Float64, Float64, Float64, Float64]:
        """delta (n, d), step r/n', growth n/n' and the part of reg_covar that r/n carries, (n,)."""
        share, left, count = self.shares[:, k], self.left[:, k], self.counts[k]
        return self.deltas[k], share / left, count / left, self.reg_covar * share / count


def full(values: Float64, left_out: LeftOut, queries: list[Float64], dot: Dot) -> Normals:
    """S' = growth (A - step delta delta^T) with A = S - reg, in the axes of S: a rank-one downdate.

    With q = delta^T A^-1 delta, p = z^T A^-1 delta: z' = z + step delta is p + step q along
    delta, where the variance shrinks by 1 - step q, and keeps the rest of z across it.
    """
    normals, safe = [], np.ones(len(left_out.shares), np.bool_)
    for k, z in enumerate(queries):
        delta, step, growth, reg = left_out.of(k)
        variance, axes = np.linalg.eigh(values[k])
        base = variance - reg[:, None]
        delta, z = delta @ axes, z @ axes
        scaled = delta / base
        q, p = (delta * scaled).sum(axis=1), dot(z, scaled)
        shrink = 1.0 - step * q
        along = np.where(q > 0, (p + step * q) ** 2 / (q * shrink), 0.0)
        across = np.maximum(dot(z * z, 1.0 / base) - np.where(q > 0, p * p / q, 0.0), 0.0)
        log_det = len(axes) * np.log(growth) + np.log(base).sum(axis=1) + np.log(shrink)
        normals.append(_log_normal((along + across) / growth, log_det, len(axes)))
        safe &= (shrink > _LEAST_LEFT) & (base > 0).all(axis=1)
    return normals, safe


def tied(values: Float64, left_out: LeftOut, queries: list[Float64], dot: Dot) -> Normals:
    """S' = N/(N-1) (A - sum_l y_l y_l^T), A = S - reg/N, y_l = sqrt(r_l n_l / (N n'_l)) delta_l.

    Whitened by A, S'^-1 = (N-1)/N (I + Y B^-1 Y^T) and |S'| = (N/(N-1))^d |A| |B| with the small
    matrix B = I - Y^T Y (K, K).
    """
    total, d = left_out.counts.sum(), len(values)
    factor = np.linalg.cholesky(values - left_out.reg_covar / total * np.eye(d))
    deltas = [triangular_solve(factor, delta) for delta in left_out.deltas]
    lengths = np.sqrt(left_out.shares * left_out.counts / (total * left_out.left))
    y = [length[:, None] * delta for length, delta in zip(lengths.T, deltas, strict=True)]
    # A component that only this row belongs to has no finite length: not safe.
    known = np.isfinite(lengths).all(axis=1)
    gram = np.einsum("lnd,mnd->nlm", y, y)
    small = np.where(known[:, None, None], np.eye(len(y)) - gram, np.eye(len(y)))
    safe = known & (np.linalg.eigvalsh(small)[:, 0] > _LEAST_LEFT)
    small[~safe] = np.eye(len(y))
    growth = total / (total - 1)
    log_det = d * np.log(growth) + 2 * np.log(np.diagonal(factor)).sum()
    log_det = log_det + np.linalg.slogdet(small)[1]
    inverse = np.linalg.inv(small)
    normals = []
    for k, z in enumerate(queries):
        z, step = triangular_solve(factor, z), left_out.of(k)[1]
        sq = dot(z * z, np.ones_like(deltas[k])) + 2 * step * dot(z, deltas[k])
        sq = np.maximum(sq + step**2 * (deltas[k] ** 2).sum(axis=1), 0.0)
        u = np.stack([dot(z, v) + step * (deltas[k] * v).sum(axis=1) for v in y], axis=-1)
        sq = sq + np.einsum("...nl,nlm,...nm->...n", u, inverse, u)
        normals.append(_log_normal(sq / growth, log_det, d))
    return normals, safe


def diagonal(values: Float64, left_out: LeftOut, queries: list[Float64], dot: Dot) -> Normals:
    """S'_f = growth (S_f - reg - step delta_f^2) for each feature f."""
    normals, safe = [], np.ones(len(left_out.shares), np.bool_)
    for k, z in enumerate(queries):
        delta, step, growth, reg = left_out.of(k)
        left = values[k] - reg[:, None] - step[:, None] * delta**2
        variance = growth[:, None] * left
        shift = step[:, None] * delta
        sq = dot(z * z, 1.0 / variance) + 2 * dot(z, shift / variance)
        sq = np.maximum(sq + (shift**2 / variance).sum(axis=1), 0.0)
        normals.append(_log_normal(sq, np.log(variance).sum(axis=1), delta.shape[1]))
        safe &= (left > _LEAST_LEFT * values[k]).all(axis=1)
    return normals, safe


def spherical(values: Float64, left_out: LeftOut, queries: list[Float64], dot: Dot) -> Normals:
    """s' = growth (s - reg - step |delta|^2 / d)."""
    normals, safe = [], np.ones(len(left_out.shares), np.bool_)
    for k, z in enumerate(queries):
        delta, step, growth, reg = left_out.of(k)
        d = delta.shape[1]
        left = values[k] - reg - step * (delta**2).sum(axis=1) / d
        shift = step[:, None] * delta
        sq = dot(z * z, np.ones_like(delta)) + 2 * dot(z, shift) + (shift**2).sum(axis=1)
        variance = growth * left
        normals.append(_log_normal(np.maximum(sq, 0.0) / variance, d * np.log(variance), d))
        safe &= left > _LEAST_LEFT * values[k]
    return normals, safe


DOWNDATED: dict[
    type[AbstractCovariances], Callable[[Float64, LeftOut, list[Float64], Dot], Normals]
] = {
    FullCovariances: full,
    TiedCovariances: tied,
    DiagonalCovariances: diagonal,
    SphericalCovariances: spherical,
}


def _log_normal(sq: Float64, log_det: Float64, d: int) -> Float64:
    return np.asarray(-0.5 * (d * LOG_2PI + log_det + sq))
