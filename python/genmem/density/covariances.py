"""The four shapes a mixture's covariances may have, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from scipy.linalg.blas import dtrsm

from genmem.density.centered import CenteredRows
from genmem.density.rows import Float64

# A pivot of the Cholesky factor this small against the variance it came from is rounding.
_PIVOT = 10 * np.finfo(np.float64).eps


class AbstractCovariances(ABC):
    """Covariances S_k = C_k C_k^T of K components in d dimensions.

    values    as scikit-learn's covariances_ of the same covariance_type
    means     (K, d); only their number and length matter here
    floor     a variance at or below this is taken for 0 (squared data units)
    singular  (K,) whether S_k has no inverse; its factor is then not to be used
    log_det   (K,) log |S_k|
    """

    values: Float64
    singular: np.ndarray[tuple[int], np.dtype[np.bool_]]
    log_det: Float64

    def __init__(self, values: Float64, components: int, d: int, floor: float) -> None:
        self.values = values
        self.components, self.d, self.floor = components, d, floor
        self.singular = np.zeros(components, np.bool_)
        self.log_det = np.zeros(components)
        self._factorise()

    @classmethod
    def estimate(
        cls, X: CenteredRows, shares: Float64, means: Float64, reg_covar: float, floor: float
    ) -> Self:
        """The M-step, S_k = sum_i r_ik (x_i - mu_k)(x_i - mu_k)^T / n_k + reg_covar I.

        X (N, d), shares r (N, K), means (K, d); diag, spherical and tied are means of these
        """
        scatters: list[Float64] = [np.zeros(())] * len(means)
        for part, rows in X.blocks():
            for k, mean in enumerate(means):
                scatters[k] = scatters[k] + cls._scatter(rows - mean, shares[part, k])
        values = cls._values(np.stack(scatters), shares.sum(axis=0), reg_covar)
        return cls(values, len(means), means.shape[1], floor)

    @staticmethod
    @abstractmethod
    def _scatter(V: Float64, shares: Float64) -> Float64:
        """sum_i r_i v_i v_i^T of one component, or what is used of it; V (B, d)."""

    @staticmethod
    @abstractmethod
    def _values(scatters: Float64, counts: Float64, reg_covar: float) -> Float64:
        """`values` from the sums of `_scatter` over all rows, (K, ...), and n_k (K,)."""

    @abstractmethod
    def _factorise(self) -> None: ...

    @abstractmethod
    def whiten(self, k: int, V: Float64) -> Float64:
        """C_k^-1 v for each row v of V (B, d)."""

    @abstractmethod
    def solve(self, k: int, V: Float64) -> Float64:
        """S_k^-1 v for each row v of V (B, d)."""

    @abstractmethod
    def color(self, k: int, noise: Float64) -> Float64:
        """C_k e for each row e of noise (B, d)."""

    @abstractmethod
    def matrix(self, k: int) -> Float64:
        """S_k as a (d, d) matrix."""

    def off_support_sq(self, k: int, V: Float64) -> Float64:
        """Squared length (B,) of the part of each row of V where a singular S_k has no spread."""
        variance, axes = np.linalg.eigh(self.matrix(k))
        flat = axes[:, variance <= max(self.floor, _PIVOT * self.d * variance[-1])]
        return np.asarray(((V @ flat) ** 2).sum(axis=1))


class FullCovariances(AbstractCovariances):
    """values (K, d, d)."""

    @staticmethod
    def _scatter(V: Float64, shares: Float64) -> Float64:
        return np.asarray((shares[:, None] * V).T @ V)

    @staticmethod
    def _values(scatters: Float64, counts: Float64, reg_covar: float) -> Float64:
        covariances = scatters / _at_least_one(counts)[:, None, None]
        return np.asarray(covariances + reg_covar * np.eye(scatters.shape[-1]))

    def _factorise(self) -> None:
        self._factor = np.empty_like(self.values)
        for k in range(self.components):
            self._factor[k], self.singular[k] = _cholesky(self.values[k], self.floor)
            self.log_det[k] = 2 * np.log(np.diagonal(self._factor[k])).sum()

    def whiten(self, k: int, V: Float64) -> Float64:
        return triangular_solve(self._factor[k], V)

    def solve(self, k: int, V: Float64) -> Float64:
        return triangular_solve(self._factor[k], self.whiten(k, V), transposed=True)

    def color(self, k: int, noise: Float64) -> Float64:
        return np.asarray(noise @ self._factor[k].T)

    def matrix(self, k: int) -> Float64:
        return np.asarray(self.values[k])


class TiedCovariances(AbstractCovariances):
    """values (d, d), one matrix for all components."""

    @staticmethod
    def _scatter(V: Float64, shares: Float64) -> Float64:
        return FullCovariances._scatter(V, shares)

    @staticmethod
    def _values(scatters: Float64, counts: Float64, reg_covar: float) -> Float64:
        covariance = scatters.sum(axis=0) / counts.sum()
        return np.asarray(covariance + reg_covar * np.eye(scatters.shape[-1]))

    def _factorise(self) -> None:
        self._factor, singular = _cholesky(self.values, self.floor)
        self.singular[:] = singular
        self.log_det[:] = 2 * np.log(np.diagonal(self._factor)).sum()

    def whiten(self, k: int, V: Float64) -> Float64:
        return triangular_solve(self._factor, V)

    def solve(self, k: int, V: Float64) -> Float64:
        return triangular_solve(self._factor, self.whiten(k, V), transposed=True)

    def color(self, k: int, noise: Float64) -> Float64:
        return np.asarray(noise @ self._factor.T)

    def matrix(self, k: int) -> Float64:
        return self.values


class DiagonalCovariances(AbstractCovariances):
    """values (K, d), variances of each feature."""

    @staticmethod
    def _scatter(V: Float64, shares: Float64) -> Float64:
        return np.asarray(shares @ V**2)

    @staticmethod
    def _values(scatters: Float64, counts: Float64, reg_covar: float) -> Float64:
        return np.asarray(scatters / _at_least_one(counts)[:, None] + reg_covar)

    def _factorise(self) -> None:
        flat = self.values <= self.floor
        self.singular[:] = flat.any(axis=1)
        self._deviation = np.sqrt(np.where(flat, 1.0, self.values))
        self.log_det[:] = 2 * np.log(self._deviation).sum(axis=1)

    def whiten(self, k: int, V: Float64) -> Float64:
        return np.asarray(V / self._deviation[k])

    def solve(self, k: int, V: Float64) -> Float64:
        return np.asarray(V / self._deviation[k] ** 2)

    def color(self, k: int, noise: Float64) -> Float64:
        return np.asarray(noise * self._deviation[k])

    def matrix(self, k: int) -> Float64:
        return np.diag(self.values[k])


class SphericalCovariances(AbstractCovariances):
    """values (K,), one variance per component."""

    @staticmethod
    def _scatter(V: Float64, shares: Float64) -> Float64:
        return DiagonalCovariances._scatter(V, shares)

    @staticmethod
    def _values(scatters: Float64, counts: Float64, reg_covar: float) -> Float64:
        variances = DiagonalCovariances._values(scatters, counts, reg_covar)
        return np.asarray(variances.mean(axis=1))

    def _factorise(self) -> None:
        self.singular[:] = self.values <= self.floor
        self._deviation = np.sqrt(np.where(self.singular, 1.0, self.values))
        self.log_det[:] = 2 * self.d * np.log(self._deviation)

    def whiten(self, k: int, V: Float64) -> Float64:
        return np.asarray(V / self._deviation[k])

    def solve(self, k: int, V: Float64) -> Float64:
        return np.asarray(V / self._deviation[k] ** 2)

    def color(self, k: int, noise: Float64) -> Float64:
        return np.asarray(noise * self._deviation[k])

    def matrix(self, k: int) -> Float64:
        return np.asarray(self.values[k] * np.eye(self.d))


COVARIANCES: dict[str, type[AbstractCovariances]] = {
    "full": FullCovariances,
    "tied": TiedCovariances,
    "diag": DiagonalCovariances,
    "spherical": SphericalCovariances,
}


def _at_least_one(counts: Float64) -> Float64:
    # A component without rows gets 0 / 1: its covariance is never used, its weight is 0.
    return np.where(counts > 0, counts, 1.0)


def _cholesky(matrix: Float64, floor: float) -> tuple[Float64, bool]:
    """The lower factor, or the identity and True where the matrix is singular to rounding."""
    variance = np.diagonal(matrix)
    if (variance > floor).all():
        try:
            factor = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            return np.eye(len(matrix)), True
        if (np.diagonal(factor) ** 2 > _PIVOT * len(matrix) * variance).all():
            return np.asarray(factor, np.float64), False
    return np.eye(len(matrix)), True


def triangular_solve(factor: Float64, V: Float64, *, transposed: bool = False) -> Float64:
    """C^-1 v, or C^-T v when transposed, for each row v of V (B, d); C (d, d) lower triangular."""
    # BLAS and not LAPACK: OpenBLAS wakes its threads for the smallest trtrs, and where the cores
    # are busy each call then waits for a turn, milliseconds for microseconds of work.
    solved = dtrsm(1.0, factor, V.T, lower=1, trans_a=int(transposed))
    return np.asarray(solved.T, np.float64)
